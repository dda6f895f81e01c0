"""The part of `lanyard.aws` that needs botocore; imported when a session is requested."""

from __future__ import annotations

import os

import boto3
import botocore.config
import botocore.credentials
import botocore.session
import botocore.tokens

from lanyard.credential import AwsKeys, expected
from lanyard.grants import PlanRef, Source

METHOD = "lanyard"
# The user's own AWS files are not read, whatever profile the environment names.
_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class LeasedCredentials(botocore.credentials.Credentials):
    """Credentials that hold no secret: each request is signed with the keys that the local agent has at that time.

    botocore's own refreshable credentials would refresh at every call in the last 15 minutes, which is always for a lease of
    five minutes, and would go on with the old keys if a refresh fails.
    """

    method = METHOD

    def __init__(self, source: Source, grant: str, plan: PlanRef) -> None:
        self._source = source
        self._grant = grant
        self._plan = plan

    def current(self) -> AwsKeys:
        """Returns the keys that the local agent has now."""
        return expected(AwsKeys, self._grant, self._source.credential(self._grant, plan=self._plan))

    def get_frozen_credentials(self) -> botocore.credentials.ReadOnlyCredentials:
        """Returns a consistent set of keys for one request."""
        keys = self.current()
        return botocore.credentials.ReadOnlyCredentials(
            keys.access_key_id, keys.secret_access_key.expose(), keys.session_token.expose(), None
        )

    @property
    def access_key(self) -> str:
        """Returns the access key id that the local agent has now."""
        return self.current().access_key_id

    @property
    def secret_key(self) -> str:
        """Returns the secret key that the local agent has now."""
        return self.current().secret_access_key.expose()

    @property
    def token(self) -> str:
        """Returns the session token that the local agent has now."""
        return self.current().session_token.expose()

    @property
    def account_id(self) -> None:
        """Returns None: the account is unknown here."""
        return


class _Provider(botocore.credentials.CredentialProvider):
    """The only credential provider of its session, so that nothing else is fallen back to."""

    METHOD = METHOD

    def __init__(self, credentials: LeasedCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> LeasedCredentials:
        return self._credentials


def session_of(source: Source, grant: str, plan: PlanRef, region_name: str | None) -> boto3.Session:
    """Makes a session whose requests are signed with the keys of a grant."""
    credentials = LeasedCredentials(source, grant, plan)
    region = region_name or credentials.current().region or None
    below = botocore.session.Session(session_vars=_NO_FILES)
    resolver = botocore.credentials.CredentialResolver(providers=[_Provider(credentials)])
    below.register_component("credential_provider", resolver)
    below.register_component("token_provider", botocore.tokens.TokenProviderChain(providers=[]))
    # Without this, botocore would use a token of AWS_BEARER_TOKEN_… if the environment has one.
    below.set_default_client_config(botocore.config.Config(auth_scheme_preference="sigv4,sigv4a"))
    return boto3.Session(botocore_session=below, region_name=region)
