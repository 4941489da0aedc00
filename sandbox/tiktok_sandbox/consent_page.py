"""What a creator sees when an app asks for access."""

from html import escape

from starlette.responses import HTMLResponse, Response

from tiktok_sandbox.records import App
from tiktok_sandbox.state import SandboxState


def error_page(parameter: str) -> Response:
    """TikTok names the bad parameter and does not redirect."""
    text = f"""<!doctype html><html lang="en"><title>Something went wrong</title>
<h1>Something went wrong</h1>
<p>We couldn't log in with TikTok. This may be due to specific app settings.</p>
<p>If you're a developer, correct the following and try again:</p>
<ul><li>{escape(parameter)}</li></ul></html>"""
    return HTMLResponse(text, 400)


def consent_page(state: SandboxState, app: App, scope: list[str]) -> Response:
    """Its form sends `account` (a username), `scope` (each that stays ticked) and `decision`."""
    accounts = "".join(
        f'<label><input type="radio" name="account" value="{escape(account.username)}"'
        f"{'' if index else ' checked'}> {escape(account.nickname)} (@{escape(account.username)})</label>"
        for index, account in enumerate(state.accounts.values())
    )
    scopes = "".join(
        f'<label><input type="checkbox" name="scope" value="{escape(name)}" checked> {escape(name)}</label>'
        for name in scope
    )
    empty = "<p>There is no creator yet: add one with <code>POST /sandbox/accounts</code>.</p>"
    return HTMLResponse(f"""<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Log in to TikTok (sandbox)</title>
<style>:root {{ color-scheme: light dark }} body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem;
margin: 3rem auto; padding: 0 1rem }} label {{ display: block; padding: .3rem 0 }} fieldset {{ border: 1px solid
#8884; border-radius: .5rem; margin: 1rem 0 }} button {{ font: inherit; padding: .6rem 1.2rem; border-radius:
.4rem; border: 1px solid #8888; cursor: pointer }} [value=approve] {{ background: #fe2c55; color: #fff }}</style>
<h1>TikTok sandbox</h1>
<p>The app <strong>{escape(app.client_key)}</strong> asks for access to your account.</p>
<form method="post">
<fieldset><legend>Continue as</legend>{accounts or empty}</fieldset>
<fieldset><legend>It may</legend>{scopes}</fieldset>
<button name="decision" value="approve">Continue</button>
<button name="decision" value="deny">Cancel</button>
</form></html>""")
