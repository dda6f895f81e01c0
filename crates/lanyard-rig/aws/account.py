"""An account on moto with authorization on: an administrator, the broker's two principals, two lease roles.

usage: account.py ENDPOINT NAME DOCUMENTS [ADMIN_KEY ADMIN_SECRET]; prints JSON. DOCUMENTS is JSON: the policies that the
documentation gives, by name.
"""

import json
import sys
import urllib.request

import boto3

endpoint, name, documents, *admin = sys.argv[1:]
ACCOUNT = "123456789012"
documents = json.loads(documents.replace("ACCOUNT", ACCOUNT).replace("MINTER", f"{name}-minter"))
key, secret = admin or ("first", "first")
iam = boto3.client(
    "iam",
    endpoint_url=endpoint,
    region_name="eu-west-1",
    aws_access_key_id=key,
    aws_secret_access_key=secret,
)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resource="*"):
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def user(user_name, document):
    iam.create_user(UserName=user_name)
    iam.put_user_policy(UserName=user_name, PolicyName="it", PolicyDocument=document)
    made = iam.create_access_key(UserName=user_name)["AccessKey"]
    return {"key": made["AccessKeyId"], "secret": made["SecretAccessKey"]}


def role(role_name, *statements):
    made = iam.create_role(
        RoleName=role_name,
        Path="/lanyard/",
        AssumeRolePolicyDocument=json.dumps(documents["lease-role-trust"]),
        PermissionsBoundary=boundary,
    )
    iam.put_role_policy(RoleName=role_name, PolicyName="it", PolicyDocument=policy(*statements))
    return made["Role"]["Arn"]


boundary = f"arn:aws:iam::{ACCOUNT}:policy/lanyard-lease-boundary"
if not admin:
    iam.create_policy(
        PolicyName="lanyard-lease-boundary",
        PolicyDocument=json.dumps(documents["lease-role-boundary"]),
    )
minter = user(f"{name}-minter", json.dumps(documents["minter-policy"]))
answer = {
    "plan_role": role(f"{name}-plan", allow(["sqs:Get*", "sqs:List*", "s3:Get*", "s3:List*"])),
    "apply_role": role(f"{name}-apply", allow(["sqs:*", "s3:*"])),
    "minter": minter,
    "revoker": user(f"{name}-revoker", json.dumps(documents["revoker-policy"])),
}
if not admin:
    answer["admin"] = user(f"{name}-admin", policy(allow("*")))
    request = urllib.request.Request(
        endpoint + "/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request).read()
print(json.dumps(answer))
