"""An agent's program on the Kubernetes client, which knows nothing of where its credentials come from.

usage: with_kubectl.py list | until-other
"""

import sys

from kubernetes import client, config

config.load_kube_config()
_, context = config.list_kube_config_contexts()
namespace = context["context"]["namespace"]
core, authentication = client.CoreV1Api(), client.AuthenticationV1Api()


def who():
    review = authentication.create_self_subject_review(client.V1SelfSubjectReview())
    return review.status.user_info.username


match sys.argv[1:]:
    case ["list"]:
        found = core.list_namespaced_config_map(namespace)
        print(who(), *(item.metadata.name for item in found.items))
    case ["until-other"]:
        first = who()
        while who() == first:
            pass
        print("other")
