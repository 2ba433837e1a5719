"""Where alerts go: a file, a web address, a broker, a recorder, a phone."""

from wsvad.registry import Registry

SINKS = Registry(
    "sink",
    *("config_class", "deliver"),
    jsonl="wsvad.sinks.jsonl:JsonLines",
    webhook="wsvad.sinks.webhook:Webhook",
    mqtt="wsvad.sinks.mqtt:Mqtt",
    frigate="wsvad.sinks.frigate:Frigate",
    apprise="wsvad.sinks.notify:Notify",
)
"""Every sink by its type. A new one is one file and one line here, or an entry point in another package."""
