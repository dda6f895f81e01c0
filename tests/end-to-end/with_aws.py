"""An agent's program on boto3, which knows nothing of where its credentials come from.

usage: with_aws.py who | left | many COUNT | until-other | until-refused
"""

import datetime
import json
import subprocess
import sys

import boto3
import botocore.exceptions

session = boto3.Session()
sts = session.client("sts")


def who():
    return sts.get_caller_identity()["Arn"]


match sys.argv[1:]:
    case ["who"]:
        print(session.get_credentials().method, who())
    case ["left"]:
        who()
        profile = session._session.get_scoped_config()
        answer = json.loads(subprocess.check_output(profile["credential_process"], shell=True))
        ends = datetime.datetime.fromisoformat(answer["Expiration"])
        print((ends - datetime.datetime.now(datetime.timezone.utc)).total_seconds())
    case ["many", count]:
        print(len({who() for _ in range(int(count))}))
    case ["until-other"]:
        first = who()
        while who() == first:
            pass
        print("other")
    case ["until-refused"]:
        print(who(), file=sys.stderr)
        try:
            while True:
                who()
        except botocore.exceptions.BotoCoreError as error:
            print(error)
