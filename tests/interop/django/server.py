"""django-oauth-toolkit and an API that it protects, in one process on loopback.

One line of JSON on stdout says where they are and which clients they know; then it runs until stdin ends (so that
nothing outlives the test that started it) or SIGTERM. Nothing else is ever written to stdout.

Usage: server.py [SECONDS]   the lifetime of access tokens (or ACCESS_TOKEN_SECONDS; 600), clients `*-short` aside
"""

import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from importlib.metadata import version

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SHORT = 5
LONG = int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ACCESS_TOKEN_SECONDS", "600"))

SCOPE = "api api:read"  # `api:write` is nobody's: see Scopes below
# Odder than oidc-provider lets them be: this server decodes UTF-8.
ODD_SECRET = "s:e c/r+e%t&=\"'\\?ü"
CLIENTS = {
    "basic": {"id": "m2m", "secret": "secret-basic", "auth": "basic", "scope": SCOPE},
    "post": {"id": "m2m-post", "secret": "secret-post", "auth": "post", "scope": SCOPE},
    "odd_basic": {"id": "odd id:1/+%", "secret": ODD_SECRET, "auth": "basic", "scope": SCOPE},
    "odd_post": {"id": "odd post:2/+%&=ü", "secret": ODD_SECRET, "auth": "post", "scope": SCOPE},
    "short": {"id": "m2m-short", "secret": "secret-short", "auth": "basic", "scope": SCOPE},
    "refresh": {"id": "refresher", "secret": "secret-refresh", "auth": "basic", "scope": SCOPE},
    "refresh_short": {"id": "refresher-short", "secret": "secret-refresh", "auth": "basic", "scope": SCOPE},
    # May ask about anyone's token.
    "api": {"id": "api-server", "secret": "secret-api", "auth": "basic", "scope": ""},
}
USER = {"username": "alice", "password": "secret-alice"}

# The port is known before the settings are, because they may name it.
listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
ORIGIN = f"http://127.0.0.1:{listener.getsockname()[1]}"
scratch = tempfile.mkdtemp(prefix="interop-django-")


def stop(*_):
    # Straight out: a graceful end would wait for connections that the test keeps open.
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def stop_when_stdin_ends():
    while os.read(0, 4096):
        pass
    stop()


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
threading.Thread(target=stop_when_stdin_ends, daemon=True).start()
logging.basicConfig(level=logging.ERROR, stream=sys.stderr)  # else every 401 is a line

import django  # noqa: E402
from django.conf import settings  # noqa: E402


def access_token_seconds(request):
    """The toolkit has one lifetime for all, but hands it to oauthlib, which also takes a function."""
    return SHORT if request.client.client_id.endswith("-short") else LONG


settings.configure(
    SECRET_KEY="of no use: no sessions, no cookies",
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    # CommonMiddleware, as every Django site has it: Content-Length (else waitress closes each connection), and a
    # redirect when a token endpoint's last slash was forgotten (which no OAuth client may follow).
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", f"{__name__}.count"],
    USE_TZ=True,
    LOGGING_CONFIG=None,
    # The very algorithm that the toolkit hashes secrets with, but not a third of a second for each token.
    PASSWORD_HASHERS=[f"{__name__}.quick_hasher"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": f"{scratch}/db.sqlite3",
            # Threads write at once: take the lock first, wait for it, and don't wait for the disk.
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
            },
        }
    },
    OAUTH2_PROVIDER={
        "SCOPES": {"api": "everything", "api:read": "reading", "api:write": "writing"},
        "DEFAULT_SCOPES": ["api"],
        "SCOPES_BACKEND_CLASS": f"{__name__}.Scopes",
        "ACCESS_TOKEN_EXPIRE_SECONDS": access_token_seconds,
        # A rotated refresh token that comes again ends the whole family, as RFC 9700 asks; off by default.
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": rsa.generate_private_key(65537, 2048)
        .private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode(),
    },
)


def quick_hasher():
    from django.contrib.auth.hashers import PBKDF2PasswordHasher

    hasher = PBKDF2PasswordHasher()
    hasher.iterations = 1000
    return hasher


stats = {"token_requests": 0, "token_errors": 0, "issued": {}, "api_ok": 0, "api_rejected": 0}
stats_lock = threading.Lock()


def count(get_response):
    def middleware(request):
        response = get_response(request)
        with stats_lock:
            if request.path == "/o/token/":
                stats["token_requests"] += 1
                stats["token_errors"] += response.status_code != 200
            elif request.path.startswith("/api"):
                stats["api_ok" if response.status_code == 200 else "api_rejected"] += 1
        return response

    return middleware


django.setup()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import include, path, re_path  # noqa: E402
from django.utils.decorators import method_decorator  # noqa: E402
from django.views.decorators.csrf import csrf_exempt  # noqa: E402
from oauth2_provider.models import get_application_model  # noqa: E402
from oauth2_provider.scopes import SettingsScopes  # noqa: E402
from oauth2_provider.signals import app_authorized  # noqa: E402
from oauth2_provider.urls import metadata_urlpatterns  # noqa: E402
from oauth2_provider.views.generic import ProtectedResourceMetadataView, ProtectedResourceView  # noqa: E402
from waitress.server import create_server  # noqa: E402


class Scopes(SettingsScopes):
    """The toolkit gives every scope to every application; here `api:write` is refused, as oidc-provider does."""

    def get_available_scopes(self, application=None, request=None, *args, **kwargs):
        return [scope for scope in super().get_available_scopes() if application is None or scope != "api:write"]


def count_issued(token, **_):
    with stats_lock:
        issued, client = stats["issued"], token.application.client_id
        issued[client] = issued.get(client, 0) + 1


app_authorized.connect(count_issued, weak=False)


class Api:
    """What the API answers when the token is good. Under `read` the token needs the scope `api:read`."""

    def get_scopes(self):
        return ["api:read"] if self.kwargs["rest"].startswith("read") else []

    def dispatch(self, request, *args, **kwargs):
        request.body  # noqa: B018  read it first: the toolkit parses forms, after which it cannot be had
        return super().dispatch(request, *args, **kwargs)

    def verify_request(self, request):
        # Kept, and not looked up again: a refresh that ends meanwhile deletes the token that was good a moment ago.
        valid, verified = super().verify_request(request)
        self.token = getattr(verified, "access_token", None)
        return valid, verified

    def answer(self, request, *_, **__):
        return JsonResponse(
            {
                "path": request.path,
                "method": request.method,
                "client_id": self.token.application.client_id,
                "scope": self.token.scope,
                "body": request.body.decode("utf-8", "replace"),
            }
        )

    get = post = put = patch = delete = answer


@method_decorator(csrf_exempt, name="dispatch")
class Forbidding(Api, ProtectedResourceView):
    """The toolkit's default: whatever is wrong with the token, an empty 403 without a challenge."""


@method_decorator(csrf_exempt, name="dispatch")
class WithMetadata(Api, ProtectedResourceMetadataView):
    """The toolkit's other view: 401 with error, error_description and RFC 9728's resource_metadata."""


@method_decorator(csrf_exempt, name="dispatch")
class Plain(Api, ProtectedResourceView):
    """The toolkit's verdict, answered the way RFC 6750 has it: no error code for a request without credentials."""

    def unauthenticated_response(self, request, oauthlib_request=None):
        error = (getattr(oauthlib_request, "oauth2_error", None) or {}).get("error")
        if not request.headers.get("authorization", "").lower().startswith("bearer "):
            error = None
        response = HttpResponse(status=403 if error == "insufficient_scope" else 401)
        response["WWW-Authenticate"] = 'Bearer realm="api"' + (f', error="{error}"' if error else "")
        return response


@csrf_exempt
def admin(request, what):
    """Not OAuth: what tests want to know, and a first refresh token (by the toolkit's own password grant)."""
    if what == "stats":
        return JsonResponse(stats)
    client_id = request.GET.get("client_id", CLIENTS["refresh"]["id"])
    client = next(client for client in CLIENTS.values() if client["id"] == client_id)
    form = {"grant_type": "password", "scope": SCOPE, "client_id": client_id, "client_secret": client["secret"], **USER}
    with urllib.request.urlopen(f"{ORIGIN}/o/token/", urllib.parse.urlencode(form).encode()) as response:
        return JsonResponse({"refresh_token": json.load(response)["refresh_token"]})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    # RFC 8414 inserts its path before the issuer's, hence once more at the root (the toolkit's manual says so).
    path("", include((metadata_urlpatterns, "oauth2_provider_root"))),
    path("-/<str:what>", admin),
    re_path("^api/(?P<rest>.*)$", Plain.as_view()),
    re_path("^api-403/(?P<rest>.*)$", Forbidding.as_view()),
    re_path("^api-metadata/(?P<rest>.*)$", WithMetadata.as_view()),
]

call_command("migrate", verbosity=0)
get_user_model().objects.create_user(**USER)
for client in CLIENTS.values():
    grant = "password" if client["id"].startswith("refresher") else "client-credentials"
    get_application_model().objects.create(
        client_id=client["id"],
        client_secret=client["secret"],  # hashed as it is saved
        client_type="confidential",
        authorization_grant_type=grant,
        name=client["id"],
    )

server = create_server(get_wsgi_application(), sockets=[listener], threads=8)
line = {
    "server": "django-oauth-toolkit",
    "version": version("django-oauth-toolkit"),
    "issuer": f"{ORIGIN}/o",
    "token_endpoint": f"{ORIGIN}/o/token/",
    "introspection_endpoint": f"{ORIGIN}/o/introspect/",
    "revocation_endpoint": f"{ORIGIN}/o/revoke_token/",
    "api": f"{ORIGIN}/api",
    "api_forbidding": f"{ORIGIN}/api-403",
    "api_with_metadata": f"{ORIGIN}/api-metadata",
    "admin": f"{ORIGIN}/-",
    "clients": CLIENTS,
    "user": USER,
    # RFC 8707: the toolkit binds a token to a URL prefix. It has no JWT access tokens.
    "resources": {"api": f"{ORIGIN}/api", "other": "https://other.api.test/v1"},
    "short_seconds": SHORT,
    "long_seconds": LONG,
}
print(json.dumps(line), flush=True)
server.run()
