package main

import data.main.helpers

deny[msg] {
  change := input.resource_changes[_]
  change.type == "aws_sqs_queue"
  not change.change.after.kms_master_key_id
  msg = sprintf("queue `%v` is not encrypted", [change.address])
}

violation[{"msg": msg, "details": {"address": change.address}}] {
  change := input.resource_changes[_]
  change.change.actions[_] == "delete"
  msg := sprintf("%s goes", [change.address])
}

warn_tags[msg] {
  change := input.resource_changes[_]
  count(object.get(change.change.after, "tags", {})) == 0
  msg := concat("", [change.address, " has no tags"])
}
