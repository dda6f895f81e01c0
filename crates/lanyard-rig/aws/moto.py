"""moto, which also heeds the policies of sessions and the conditions of both kinds of policy.

usage: moto.py -H HOST -p PORT, as moto_server. moto itself leaves out session policies, conditions
and issue times; without them the refusal of one session counts for every session of its role. A
condition that this file does not know never allows and always denies. Not heeded: boundaries,
expiry, and the resource where moto itself does not say which one a call is about.
"""

import re
import sys
from datetime import datetime, timezone

from moto.iam import access_control
from moto.server import main
from moto.sts.models import AssumedRole, sts_backends
from moto.sts.responses import TokenResponse

ANY_RESOURCE = "*"


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(pattern, value, flags=0):
    pattern = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(pattern, value, flags | re.DOTALL) is not None


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


OPERATORS = {
    "StringEquals": lambda wanted, found: wanted == found,
    "StringLike": matches,
    "DateLessThan": lambda wanted, found: moment(found) < moment(wanted),
    "DateGreaterThan": lambda wanted, found: moment(found) > moment(wanted),
}


def holds(statement, context):
    for operator, tests in statement.get("Condition", {}).items():
        for key, wanted in tests.items():
            found = context.get(key.lower())
            if operator not in OPERATORS or found is None:
                if statement["Effect"] == "Allow":
                    return False
            elif not any(OPERATORS[operator](one, found) for one in listed(wanted)):
                return False
    return True


def is_about(statement, action, resource):
    if "NotAction" in statement:
        named = not any(matches(one, action, re.IGNORECASE) for one in listed(statement["NotAction"]))
    else:
        named = any(matches(one, action, re.IGNORECASE) for one in listed(statement["Action"]))
    if not named or resource == ANY_RESOURCE:
        return named
    if "NotResource" in statement:
        return not any(matches(one, resource) for one in listed(statement["NotResource"]))
    return any(matches(one, resource) for one in listed(statement["Resource"]))


def effects(documents, action, resource, context):
    statements = [one for document in documents for one in listed(document["Statement"])]
    return {
        statement["Effect"]
        for statement in statements
        if is_about(statement, action, resource) and holds(statement, context)
    }


assume_role = TokenResponse.assume_role
created = AssumedRole.__init__
permitted = access_control.IAMRequestBase.check_action_permitted


def create(self, *arguments, **named):
    created(self, *arguments, **named)
    self.issued = datetime.now(timezone.utc)
    self.source_identity = None


def assume(self):
    answer = assume_role(self)
    identity = self._get_param("SourceIdentity")
    if identity:
        answer.result["Credentials"].source_identity = identity
        answer.result["SourceIdentity"] = identity
    return answer


def check(self, resource):
    key = self._access_key
    if not isinstance(key, access_control.AssumedRoleAccessKey):
        permitted(self, resource)
        return
    if self._action == "sts:GetCallerIdentity":
        return
    sessions = sts_backends[key.account_id][key.partition].assumed_roles
    session = next(one for one in sessions if one.access_key_id == key._access_key_id)
    context = {
        "aws:currenttime": datetime.now(timezone.utc).isoformat(),
        "aws:sourceidentity": session.source_identity,
        "aws:tokenissuetime": session.issued.isoformat(),
    }
    of_role = [access_control.IAMPolicy(one)._policy_json for one in key.collect_policies()]
    groups = [of_role]
    if session.policy:
        groups.append([access_control.IAMPolicy(session.policy)._policy_json])
    for documents in groups:
        if effects(documents, self._action, resource, context) != {"Allow"}:
            self._raise_access_denied()


AssumedRole.__init__ = create
TokenResponse.assume_role = assume
access_control.IAMRequestBase.check_action_permitted = check

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
