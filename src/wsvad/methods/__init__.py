"""The methods: configuration, network, loss and phases of one paper on one page each."""

from wsvad.registry import Registry

METHODS = Registry(
    "method",
    *("learns_from", "runs_on", "normalisation", "config_class", "phases"),
    linear="wsvad.methods.linear:Linear",
    mil="wsvad.methods.mil:Mil",
    rtfm="wsvad.methods.rtfm:Rtfm",
    ur_dmu="wsvad.methods.ur_dmu:UrDmu",
    pi_vad="wsvad.methods.pi_vad:PiVad",
    dakd="wsvad.methods.dakd:Dakd",
    refinevad="wsvad.methods.refinevad:RefineVad",
)
"""Every method by name. A new one is one file and one line here, or an entry point in another package."""
