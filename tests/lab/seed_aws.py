"""Makes AWS calls against a compatible server of the lab.

Reads one JSON document on stdin:
    {"endpoint": URL, "region": "...", "access_key_id": "...", "secret_access_key": "...",
     "session_token": "..." (left out for a key that stands alone),
     "calls": [{"service": "iam", "operation": "create_user", "parameters": {...}}, ...]}
and writes the list of answers on stdout; a refused call gives {"Error": {...}}. Values pass through pipes only, never
through arguments.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main():
    request = json.load(sys.stdin)
    session = boto3.Session(
        aws_access_key_id=request["access_key_id"],
        aws_secret_access_key=request["secret_access_key"],
        aws_session_token=request.get("session_token"),
        region_name=request["region"],
    )
    # `max_attempts` counts retries, `total_max_attempts` counts attempts: none is repeated.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
    clients = {}
    answers = []
    for call in request["calls"]:
        service = call["service"]
        if service not in clients:
            clients[service] = session.client(service, endpoint_url=request["endpoint"], config=config)
        try:
            answer = getattr(clients[service], call["operation"])(**call["parameters"])
            answer.pop("ResponseMetadata", None)
        except ClientError as error:
            answer = {"Error": error.response.get("Error", {})}
        answers.append(answer)
    json.dump(answers, sys.stdout, default=str)


main()
