"""What a fault rule of the types `status`, `wrong_answer` and `error` answers."""

from starlette.responses import JSONResponse, Response

from tiktok_sandbox.envelope import OAuthError, failure, oauth_failure, oauth_status_of
from tiktok_sandbox.faults import Action
from tiktok_sandbox.records import Call
from tiktok_sandbox.state import SandboxState

_CODES = {400: "invalid_params", 401: "access_token_invalid", 429: "rate_limit_exceeded"}


def fault_answer(state: SandboxState, action: Action, call: Call) -> Response:
    """Notes the code in the log."""
    response = _error(state, action, call)
    response.headers.update({name: str(value) for name, value in action.headers.items()})
    return response


def _error(state: SandboxState, action: Action, call: Call) -> Response:
    if action.type == "error":
        return _coded(state, action, call, action.code or "internal_error", None)
    if isinstance(action.body, str):
        return Response(action.body, action.status)
    if action.body is not None:
        return JSONResponse(action.body, action.status)
    if call.path == "/upload" or action.status > 500:
        # Gateways and upload hosts say nothing that could be parsed.
        return Response(status_code=action.status)
    if call.path.startswith("/v2/oauth/"):
        code = "server_error" if action.status == 500 else "invalid_request"
    else:
        code = _CODES.get(action.status, "internal_error")
    return _coded(state, action, call, code, action.status)


def _coded(state: SandboxState, action: Action, call: Call, code: str, status: int | None) -> Response:
    call.code = code
    if call.path.startswith("/v2/oauth/"):
        usual = 200 if state.switches.oauth_error_status == 200 else oauth_status_of(code)
        return oauth_failure(OAuthError(code, action.message), status or usual, call.log_id)
    response = failure(code, action.message, call.log_id, call.path)
    response.status_code = status or response.status_code
    return response
