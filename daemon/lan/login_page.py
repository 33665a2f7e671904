"""The page that asks for the password."""

from base64 import b64encode
from hashlib import sha256

from daemon.words.translation import ENGLISH, Words

_STYLE = """
:root { color-scheme: light dark; --ground: #f4f5f2; --card: #fff; --line: #8a958e; --text: #18211d;
  --main: #0f766a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f1412; --card: #171e1b; --line: #75817a;
  --text: #e8edea; --main: #4fc4b1; --bad: #ff8a80; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground);
  color: var(--text); font: 17px/1.45 system-ui, sans-serif; }
form { background: var(--card); border-radius: 14px; padding: 28px; width: min(320px, calc(100vw - 88px)); }
h1 { font-size: 24px; margin: 0 0 16px; }
label { display: block; margin-bottom: 6px; }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: 12px; border-radius: 10px; }
input { border: 1px solid var(--line); background: transparent; color: inherit; }
button { margin-top: 16px; border: 0; background: var(--main); color: var(--card); font-weight: 650; }
p { color: var(--bad); margin: 12px 0 0; }
"""
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<form method="post" action="/login">
<h1>Sunkeep</h1>
<label for="password">{password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required autofocus>
<button>{log_in}</button>
{said}</form>
</body>
</html>
"""
_DIGEST = b64encode(sha256(_STYLE.encode()).digest()).decode()
SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def login_page(said: str = "", words: Words = ENGLISH) -> str:
    """The page; `said` is what went wrong, a sentence of the table."""
    return _PAGE.format(
        style=_STYLE,
        language=words.language,
        title=words("Sunkeep: log in"),
        password=words("Password"),
        log_in=words("Log in"),
        said=f'<p role="alert">{words(said)}</p>\n' if said else "",
    )
