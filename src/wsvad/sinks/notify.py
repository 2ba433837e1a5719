"""Everything that Apprise reaches: ntfy, Telegram, Slack, Matrix, e-mail, and a hundred more."""

import re
from dataclasses import dataclass

from wsvad.environment import expand, guard, hidden, hide
from wsvad.errors import UsageError, WsvadError
from wsvad.sinks.alert import Alert
from wsvad.sinks.sink import TIMEOUT
from wsvad.spelling import short


@dataclass(frozen=True, kw_only=True)
class NotifyConfig:
    """A service for people."""

    url: str
    """Its address for Apprise, as tgram://${TOKEN}/CHAT or ntfy://HOST/TOPIC."""


class Notify:
    """A message with a picture when an event begins; its end disturbs nobody."""

    config_class = NotifyConfig

    def __init__(self, settings: NotifyConfig):
        self._settings = settings
        if "://" not in settings.url:
            raise UsageError("url: not an address of Apprise; write it as SERVICE://…, as in ntfy://HOST/TOPIC")

    def deliver(self, alert: Alert) -> None:
        if alert.state == "end":
            return
        try:
            from apprise import Apprise, AppriseAsset
            from apprise.attachment.memory import AttachMemory
        except ImportError:
            raise WsvadError("the package apprise is not installed; pip install 'wsvad[live]'") from None
        guard("apprise", "urllib3.connectionpool")
        url = expand(self._settings.url, "url")
        for part in re.split(r"[/:@?&=]+", url)[1:]:
            if len(part) > 12:  # tokens; names of hosts and rooms may be shown
                hide(part)
        service = Apprise(asset=AppriseAsset(app_id="wsvad", app_desc="wsvad", app_url="", async_mode=False))
        if not service.add(url):
            raise UsageError("url: no service of Apprise has an address like this; see its list of services")
        picture = AttachMemory(content=alert.still, name="still.jpg", mimetype="image/jpeg") if alert.still else None
        sent = service.notify(
            title=alert.title,
            body=alert.text,
            body_format="text",
            notify_type="warning",
            attach=picture,
            timeout=TIMEOUT,
        )
        if not sent:
            said = [entry.message for entry in sent.logs()]
            raise WsvadError(short(hidden("; ".join(said)), 200) or "the service did not take it, and does not say why")
