"""A Meltano Singer tap: ``python -m benchmarks.peers.singer_tap BASE_URL OUTPUT``."""

import json
import os
import sys
import tempfile
from pathlib import Path

from singer_sdk import RESTStream, Stream, Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import BearerTokenAuthenticator
from singer_sdk.streams.rest import HTTPRequest, PageContext

from benchmarks.peers import stdout

_TEXT = (
    *("type", "workspace_id", "external_id", "role", "email", "email_domain", "phone", "name"),
    *("language_override", "browser", "browser_version", "browser_language", "os", "referrer"),
    *("android_app_name", "android_app_version", "android_device", "android_os_version", "android_sdk_version"),
    *("ios_app_name", "ios_app_version", "ios_device", "ios_os_version", "ios_sdk_version"),
    *("utm_campaign", "utm_content", "utm_medium", "utm_source", "utm_term"),
)
_TIMES = (
    *("created_at", "updated_at", "signed_up_at", "last_seen_at", "last_replied_at", "last_contacted_at"),
    *("last_email_opened_at", "last_email_clicked_at", "android_last_seen_at", "ios_last_seen_at"),
)
_FLAGS = (
    *("has_hard_bounced", "marked_email_as_spam", "unsubscribed_from_emails", "unsubscribed_from_sms"),
    *("sms_consent", "enabled_push_messaging"),
)
_NESTED = (
    *("avatar", "location", "custom_attributes", "social_profiles", "tags", "notes", "companies"),
    *("opted_out_subscription_types", "opted_in_subscription_types"),
)


class Contacts(RESTStream[str]):
    """The stream of contacts."""

    name = "contacts"
    path = "/contacts"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    next_page_token_jsonpath = "$.pages.next.starting_after"
    schema = th.PropertiesList(
        th.Property("id", th.StringType, required=True),
        th.Property("owner_id", th.CustomType({"type": ["integer", "string", "null"]})),
        *(th.Property(name, th.StringType) for name in _TEXT),
        *(th.Property(name, th.IntegerType) for name in _TIMES),
        *(th.Property(name, th.BooleanType) for name in _FLAGS),
        *(th.Property(name, th.ObjectType(additional_properties=True)) for name in _NESTED),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """The API's base URL."""
        base_url: str = self.config["base_url"]
        return base_url

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """The authorisation of each request."""
        return BearerTokenAuthenticator(token=self.config["access_token"])

    @property
    def http_headers(self) -> dict[str, str]:
        """Further headers of each request."""
        return {"Intercom-Version": "2.14"}

    def get_http_request(self, *, page: PageContext[str]) -> HTTPRequest:
        """Return the parameters of the next page."""
        request = super().get_http_request(page=page)
        request.params |= {"per_page": 150, "starting_after": page.next_page_token}
        return request


class TapIntercom(Tap):
    """The tap."""

    name = "tap-intercom"
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", th.StringType, required=True),
        th.Property("access_token", th.StringType, required=True, secret=True),
    ).to_dict()

    def discover_streams(self) -> list[Stream]:
        """Return the streams."""
        return [Contacts(self)]


def main() -> None:
    """Write the messages of a full sync, one per contact."""
    base_url, output = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.json")
        settings = {"base_url": base_url, "access_token": os.environ["INTERCOM_ACCESS_TOKEN"]}
        config.write_text(json.dumps(settings), encoding="utf-8")
        stdout.into(output)
        TapIntercom.cli(["--config", str(config)])


if __name__ == "__main__":
    main()
