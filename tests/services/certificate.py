"""A certificate for `elsewhere.example`, its key, and the authority that signed it: for servers of tests, until 2126."""

from __future__ import annotations

import ssl
from pathlib import Path

AUTHORITY = """\
-----BEGIN CERTIFICATE-----
MIIBhjCCASugAwIBAgIUZboZgv5eoj+vO+tKh2Y5n9sJtO0wCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZGF0aXZvIHRlc3RzMCAXDTI2MTEyMjExMDcwNVoYDzIxMjYx
MDI5MTEwNzA1WjAXMRUwEwYDVQQDDAxkYXRpdm8gdGVzdHMwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQjxFMC6hk7lpKi9q8W4S/L+f/nf/9FvoGAPooc7afimtgw
9dc0WDfktf5jaLxkrv975P9lc3rmUHFwDLlyj3MKo1MwUTAdBgNVHQ4EFgQUuXfm
XbqGSTokGbjKnPlZOBn1QfowHwYDVR0jBBgwFoAUuXfmXbqGSTokGbjKnPlZOBn1
QfowDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEArvqFja/Z9OPQ
wBLz3d8ZpF3Gvchmj/WBhIbXAOha1AACIQDvK6468p/ZrwPuB+UjvScDkWPkWPqg
du0SXh00Zrio1w==
-----END CERTIFICATE-----
"""

_SERVER = """\
-----BEGIN CERTIFICATE-----
MIIBuDCCAV6gAwIBAgIURGYKPMVadmr6o81OmiShKN6Z6YAwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZGF0aXZvIHRlc3RzMCAXDTI2MTEyMjExMDcwNVoYDzIxMjYx
MDI5MTEwNzA1WjAcMRowGAYDVQQDDBFlbHNld2hlcmUuZXhhbXBsZTBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABOgegG0RTV5caXVO0PofId1EE7lIy1OZNuDem/Dj
uAFTbfvaQH6V/zGGzfiSuLIsYFleghkHFuh1auy8vTq2aBajgYAwfjAcBgNVHREE
FTATghFlbHNld2hlcmUuZXhhbXBsZTAJBgNVHRMEAjAAMBMGA1UdJQQMMAoGCCsG
AQUFBwMBMB0GA1UdDgQWBBT1Iv6me6cfNx3g8WTGVYHbUAJYVzAfBgNVHSMEGDAW
gBS5d+ZduoZJOiQZuMqc+Vk4GfVB+jAKBggqhkjOPQQDAgNIADBFAiB0sJqS1Xzh
cTJPL2HZjSDlck9Dt7xWtdebFymHDMwTYwIhALidX8Vfm73gbaWbX5orvtm23Qg0
nY64MDYtlXvT3Lj3
-----END CERTIFICATE-----
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgpkmp1Ce85wCcvWnr
ftwnnxKcOaD0Elc3nlS9u5o1tmKhRANCAAToHoBtEU1eXGl1TtD6HyHdRBO5SMtT
mTbg3pvw47gBU2372kB+lf8xhs34kriyLGBZXoIZBxbodWrsvL06tmgW
-----END PRIVATE KEY-----
"""


def server_context(folder: Path) -> ssl.SSLContext:
    """What a server needs to speak TLS under the name `elsewhere.example`."""
    file = folder / "server.pem"
    file.write_text(_SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
