"""Names that a page must show as text, whatever they look like."""

HOSTILE = {
    "<script>alert(1)</script>.mp4": "<script>alert(1)</script>.mp4",
    '"><img src=x onerror=alert(1)>': '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)": "' onmouseover='alert(1)",
    "</title></style></script><script>alert(1)</script>": "</title></style></script><script>alert(1)</script>",
    "<!-- --><![CDATA[": "<!-- --><![CDATA[",
    "javascript:alert(1).mp4": "javascript:alert(1).mp4",
    "$title ${style} $$ {braces} &ltscript&amp": "$title ${style} $$ {braces} &ltscript&amp",
    "{{7*7}}{% raw %}{# %s": "{{7*7}}{% raw %}{# %s",
    "gate[north].mp4": "gate[north].mp4",
    "\u202ecod.exe\u202c": "\\u202ecod.exe\\u202c",
    "a\u200fb\u2067c\u061cd": "a\\u200fb\\u2067c\\u061cd",
    "\x00bell\x07\x1b[31m\x7f\x85.mp4": "\\u0000bell\\u0007\\u001b[31m\\u007f\\u0085.mp4",
    "\udcff\ud800.mp4": "\\udcff\\ud800.mp4",
}
"""Name → how it is shown. Characters that turn the direction of writing, or that no page can show, are spelt out."""
