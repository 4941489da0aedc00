"""The commands and their arguments, for Airflow's command line.

It loads at every ``airflow`` call, so it imports nothing of this provider.
"""

from argparse import ArgumentParser
from typing import Any

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    CLICommand,
    GroupCommand,
    lazy_load_command,
    positive_int,
    string_list_type,
)
from airflow.sdk.timezone import parse as parsedate

# What the operators need for direct posts and drafts. An app that is not approved for one cannot ask for it.
SCOPES = "user.info.basic,video.publish,video.upload"
REDIRECT_URI = "http://127.0.0.1:*/callback/"
# The values of PostState, which is not imported here: every airflow command would pay for it.
POST_STATES = ("claimed", "intended", "uploading", "finishing", "out", "inbox", "failed", "uncertain")


class _EitherOf(Arg):
    """Options of which exactly one must be given.

    :param options: the flag of each, and its keywords for argparse.
    """

    def __init__(self, **options: dict[str, Any]) -> None:
        self.flags = tuple(f"--{name.replace('_', '-')}" for name in options)
        self.kwargs = {}
        self._options = tuple(options.values())

    def add_to_parser(self, parser: ArgumentParser) -> None:
        """Add the options as one group; argparse refuses none, and more than one."""
        group = parser.add_mutually_exclusive_group(required=True)
        for flag, option in zip(self.flags, self._options, strict=True):
            group.add_argument(flag, **option)


_CONN_ID = Arg(("conn_id",), help="Connection id of the account")
_DOCTOR_CONN_ID = Arg(
    ("conn_id",), nargs="?", help="Connection id of the account (default: all that Airflow's database knows)"
)
_REDIRECT_URI = Arg(
    ("--redirect-uri",),
    default=REDIRECT_URI,
    help="The redirect URI as it is registered at TikTok; * stands for a free port (default: %(default)s)",
)
_CLIENT_KEY = Arg(
    ("--client-key",),
    help="Client key of the TikTok app, if the connection is not there yet. Its Client secret is asked for, or read"
    " from the environment variable TIKTOK_CLIENT_SECRET",
)
_HOST = Arg(
    ("--host",), help="API base URL of a new connection (default: TikTok's own), such as that of a sandbox"
)
_AUTHORIZE_URL = Arg(("--authorize-url",), help="Consent page of a new connection (default: TikTok's own)")
_SCOPES = Arg(
    ("--scopes",),
    type=string_list_type,
    default=SCOPES,
    help="Scopes to ask the owner of the account for, separated by commas; the app must be approved for all of it"
    " (default: %(default)s)",
)
_PASTE = Arg(
    ("--paste",),
    action="store_true",
    help="Open no browser, and read the address of the page that TikTok leads to from standard input: for machines"
    " without a browser",
)
_NO_BROWSER = Arg(("--no-browser",), action="store_true", help="Print the address of the consent page only")
_SWITCH_ACCOUNT = Arg(
    ("--switch-account",),
    action="store_true",
    help="Let the connection change to another TikTok account, and let TikTok ask which one",
)

_POST_KEY = Arg(
    ("post_key",), help="Post key (the idempotency key of the post), as airflow tiktok posts lists it"
)
_STATE = Arg(("--state",), choices=POST_STATES, help="Posts in this state only")
_OF_CONN_ID = Arg(("--conn-id",), help="Posts of this connection only")
_OF_DAG_ID = Arg(("--dag-id",), help="Posts that tasks of this DAG have made only")
_SINCE = Arg(
    ("--since",), type=parsedate, help="Posts that have changed since then only, such as 2026-11-20 (UTC)"
)
_UNTIL = Arg(("--until",), type=parsedate, help="Posts that have last changed before then only")
_LIMIT = Arg(
    ("--limit",),
    type=positive_int(allow_zero=False),
    default=50,
    help="At most so many (default: %(default)s)",
)
_REFRESH = Arg(
    ("--refresh",),
    action="store_true",
    help="Ask TikTok first about posts of the last seven days (or since --since) without a final state or a public"
    " id, and record what it says",
)
_SEEN = _EitherOf(
    posted={
        "nargs": "?",
        # Without it argparse does not notice an option that stands alone.
        "const": "",
        "metavar": "POST_ID|URL",
        "help": "It is out. The address of its page on TikTok gives id and link, the id alone only the id if the"
        " account's page is not known; without either, nothing more is known of it",
    },
    not_posted={
        "action": "store_true",
        "help": "It is not out and will not come out: it may be posted again",
    },
)


def _command(name: str, text: str, *args: Arg, description: str | None = None) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=text,
        description=description,
        func=lazy_load_command(f"tiktok_provider.cli.commands.tiktok_{name}"),
        args=(*args, ARG_OUTPUT, ARG_VERBOSE),
    )


def get_tiktok_cli_commands() -> list[CLICommand]:
    """Return the group ``airflow tiktok``."""
    connect = _command(
        "connect",
        "Connect a TikTok account",
        *(_CONN_ID, _CLIENT_KEY, _HOST, _AUTHORIZE_URL, _SCOPES),
        *(_REDIRECT_URI, _PASTE, _NO_BROWSER, _SWITCH_ACCOUNT),
        description="Lead the owner of a TikTok account through TikTok's consent page and store the tokens. Makes the"
        " connection if it is not there.",
    )
    doctor = _command(
        "doctor",
        "Check everything that publishing needs, and say what to do",
        *(_DOCTOR_CONN_ID, _REDIRECT_URI),
        description="Ends with 1 if something is wrong.",
    )
    rest = (
        _command("accounts", "List the accounts and how they are doing"),
        _command("refresh", "Get new tokens of an account from TikTok now", _CONN_ID),
        _command(
            "disconnect",
            "Revoke the app's access to an account at TikTok, and wipe its tokens",
            _CONN_ID,
            description="Ends with 1 if TikTok did not revoke the access; the tokens are wiped in any case.",
        ),
        _command(
            "reopen",
            "End a 24-hour cap by which an account is closed, because TikTok has reopened it",
            _CONN_ID,
            description="Tasks that wait for the end of the cap notice it within minutes. If TikTok still names the"
            " cap, it closes the account again.",
        ),
        _command("prune", "Delete what the store no longer needs"),
    )
    posts = (
        _command(
            "posts",
            "List the posts on record, the last changed first",
            *(_STATE, _OF_CONN_ID, _OF_DAG_ID, _SINCE, _UNTIL, _LIMIT, _REFRESH),
        ),
        _command(
            "resolve",
            "Decide an uncertain post by what you see on TikTok",
            *(_CONN_ID, _POST_KEY, _SEEN),
            description="Look at the account first, at its drafts and private posts, too: after --not-posted the next"
            " run of the task posts.",
        ),
        _command(
            "forget",
            "Delete the record of a post, so that it is posted again",
            *(_CONN_ID, _POST_KEY, ARG_YES),
            description="Nothing is deleted on TikTok. Refuses posts that are under way or uncertain.",
        ),
    )
    return [
        GroupCommand(
            name="tiktok",
            help="Connect TikTok accounts, check them and their posts",
            subcommands=(connect, *rest, *posts, doctor),
        )
    ]
