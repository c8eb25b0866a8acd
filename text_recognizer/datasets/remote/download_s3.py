"""s3:// addresses: AWS or any S3-compatible store, signed or anonymous."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from text_recognizer.datasets.remote.download import (
    PIECE_BYTES,
    TIMEOUT_S,
    Answer,
    DownloadError,
    Interrupted,
    Opener,
    OutOfDate,
    size_in,
)

# A public object is refused if the request is signed with unknown or expired keys, but not if it is unsigned.
_REFUSED = ("AccessDenied", "403", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "SignatureDoesNotMatch")
_CHANGED = ("PreconditionFailed", "412", "InvalidRange", "416")


def s3_opener(endpoint_url: str | None) -> Opener:
    """A function that requests an object from a position on.

    Args:
        endpoint_url: the server; by default AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or the profile's, else AWS.
    """
    from botocore import exceptions

    broken_off = (exceptions.IncompleteReadError, exceptions.ReadTimeoutError, exceptions.ResponseStreamingError)

    @contextmanager
    def open_s3(url: str, start: int, validator: str | None) -> Iterator[Answer]:
        try:
            found = _get(endpoint_url, url, start, validator)
            whole = found.get("ContentRange", "").rpartition("/")[2] or str(found["ContentLength"])
            yield Answer(found["Body"].iter_chunks(PIECE_BYTES), start, size_in(whole), found.get("ETag"))
        except broken_off as error:
            raise Interrupted(str(error)) from error
        except exceptions.ClientError as error:
            if start and error.response["Error"]["Code"] in _CHANGED:
                raise OutOfDate(str(error)) from error
            raise DownloadError(str(error)) from error
        except (exceptions.BotoCoreError, ValueError) as error:
            raise DownloadError(str(error)) from error

    return open_s3


def _get(endpoint_url: str | None, url: str, start: int, validator: str | None) -> Any:
    from botocore.exceptions import ClientError

    bucket, _, key = url.removeprefix("s3://").partition("/")
    wanted = {"Bucket": bucket, "Key": key}
    if start:
        wanted["Range"] = f"bytes={start}-"
    if start and validator:
        wanted["IfMatch"] = validator
    client, is_signed = s3_client(endpoint_url)
    try:
        return client.get_object(**wanted)
    except ClientError as refusal:
        if not is_signed or refusal.response["Error"]["Code"] not in _REFUSED:
            raise
        try:
            return s3_client(endpoint_url, anonymous=True)[0].get_object(**wanted)
        except ClientError:
            raise refusal from None


def s3_client(endpoint_url: str | None = None, anonymous: bool = False) -> tuple[Any, bool]:
    """A client, and whether it signs its requests, which depends on credentials."""
    import boto3
    import botocore
    from botocore.config import Config

    session = boto3.Session()
    is_signed = not anonymous and session.get_credentials() is not None
    own_server = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    config = Config(
        signature_version=None if is_signed else botocore.UNSIGNED,
        # A self-hosted store rarely has a host name for each bucket.
        s3={"addressing_style": "path"} if own_server else None,
        connect_timeout=TIMEOUT_S[0],
        read_timeout=TIMEOUT_S[1],
        retries={"mode": "standard", "max_attempts": 3},
        response_checksum_validation="when_required",  # the registry's sha256 decides, and parts have no checksum
        request_checksum_calculation="when_required",  # a self-hosted store may not know those of today
    )
    return session.client("s3", endpoint_url=endpoint_url, config=config), is_signed
