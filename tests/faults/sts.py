"""Keys that MinIO gives out for a while and for a part of a bucket (AssumeRole, signed with AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import urllib.parse
import urllib.request
from datetime import UTC, datetime

from tests.services.minio import Minio


def assumed(store: Minio, place: str) -> dict[str, str]:
    """Keys that may do everything with the objects of `place`, as `bucket/prefix/*`, and nothing else; for 15 minutes."""
    statement = {"Effect": "Allow", "Action": ["s3:*"], "Resource": [f"arn:aws:s3:::{place}"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    fields = {"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": "900", "Policy": policy}
    body = urllib.parse.urlencode(fields).encode()
    headers = signed(store, f"127.0.0.1:{store.port}", body)
    request = urllib.request.Request(f"{store.endpoint}/", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    names = {"access_key_id": "AccessKeyId", "secret_access_key": "SecretAccessKey", "session_token": "SessionToken"}
    found = {ours: re.search(f"<{theirs}>(.*?)</{theirs}>", text) for ours, theirs in names.items()}
    return {ours: match[1] for ours, match in found.items() if match is not None}


def signed(store: Minio, host: str, body: bytes) -> dict[str, str]:
    """The headers of a POST to `/` of the service `sts`."""
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    kind = "application/x-www-form-urlencoded"
    names = "content-type;host;x-amz-content-sha256;x-amz-date"
    values = f"content-type:{kind}\nhost:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{now}\n"
    asked = f"POST\n/\n\n{values}\n{names}\n{digest}"
    scope = f"{now[:8]}/{store.region}/sts/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
    key = f"AWS4{store.secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return {
        "Content-Type": kind,
        "X-Amz-Date": now,
        "X-Amz-Content-Sha256": digest,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={store.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}",
    }
