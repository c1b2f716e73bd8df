"""A cluster, a cloud account or all containers lose their data."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.destroy-cluster",
    title="Whole namespaces, buckets, stacks or volumes are removed",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="what ran there and what it stored is gone, on every machine at once",
    instead="remove the one object that is broken, by its name",
    tags=("T1485", "T1578"),
    examples_match=(
        "kubectl delete namespace prod",
        "kubectl delete pods --all -A",
        "aws s3 rm s3://backups --recursive",
        "aws s3 rb s3://backups --force",
        "terraform destroy -auto-approve",
        "docker system prune -a --volumes -f",
        "docker rm -f $(docker ps -aq)",
        "gcloud projects delete prod",
        "aws ec2 terminate-instances --instance-ids i-1 i-2",
        "etcdctl del '' --prefix",
    ),
    examples_pass=(
        "kubectl delete pod web-1 -n prod",
        "docker rm old-web",
        "docker image prune -f",
        "terraform plan",
        "aws s3 ls s3://backups",
        "helm rollback web 3",
    ),
)


def find(view: View) -> Iterable[Place]:
    """The removing words of kubectl, docker, the clouds' tools and what builds on them."""
    for call in view.calls:
        if call.name is not None and _destroys(view, call, call.name, call.values):
            yield Place(call.command)


def _destroys(view: View, call: Call, name: str, values: tuple[str, ...]) -> bool:
    words = set(values)
    if name in ("kubectl", "oc"):
        kinds = {
            "namespace",
            "namespaces",
            "ns",
            "node",
            "nodes",
            "pv",
            "pvc",
            "persistentvolume",
            "persistentvolumes",
            "persistentvolumeclaim",
            "persistentvolumeclaims",
            "crd",
            "crds",
            "customresourcedefinition",
            "project",
            "all",
            "storageclass",
            "clusterrole",
            "clusterrolebinding",
        }
        return "delete" in words and (
            bool(words & kinds) or call.has("--all") or any(re.match(r"(ns|namespace|node|pvc?|crd)/", value) for value in values)
        )
    if name in ("docker", "podman", "nerdctl"):
        prunes = "prune" in words and (("system" in words and (call.has("-a", "--all") or "--volumes" in words)) or ("volume" in words))
        removes_all = bool(words & {"rm", "rmi", "kill", "stop"}) and any(
            source.name == name and source.has("-q", "--quiet") for source in view.sources(call)
        )
        return (
            prunes
            or ("volume" in words and "rm" in words)
            or (removes_all and not words & {"stop"})
            or ("swarm" in words and "leave" in words)
            or ("down" in words and call.has("-v", "--volumes"))
        )
    if name == "docker-compose":
        return "down" in words and call.has("-v", "--volumes")
    if name == "aws":
        text = " ".join(values)
        return bool(
            re.match(
                (
                    r"s3 rb\b|s3 rm .*--recursive|s3api delete-(bucket|objects)|ec2 (terminate-instances|delete-(volume|snapshot|vpc))"
                    r"|rds delete-db-|dynamodb delete-(table|backup)|cloudformation delete-stack|eks "
                    r"delete-(cluster|nodegroup)|iam delete-(role|user|policy)|kms (schedule-key-deletion|disable-key)|cloudtrail "
                    r"(stop-logging|delete-trail|update-trail)|guardduty delete-detector|config(service)? (stop|delete)|backup "
                    r"delete-|efs delete-file-system|ecs delete-cluster|lambda delete-function|elbv2 delete-load-balancer|route53 "
                    r"delete-hosted-zone|secretsmanager delete-secret|logs delete-log-group|organizations (leave|remove|close)|"
                    r"redshift delete-cluster|elasticache delete|autoscaling delete-auto-scaling-group|ecr delete-repository"
                ),
                text,
            )
        )
    if name == "gcloud":
        return "delete" in words and bool(
            words
            & {
                "projects",
                "clusters",
                "instances",
                "disks",
                "databases",
                "snapshots",
                "buckets",
                "networks",
                "sql",
                "secrets",
                "keys",
            }
        )
    if name == "az":
        return bool(words & {"delete", "purge"}) and bool(
            words
            & {"group", "vm", "aks", "disk", "account", "storage", "sql", "keyvault", "server", "db", "container", "vault", "cosmosdb"}
        )
    if name in ("gsutil", "s3cmd", "rclone"):
        return bool(words & {"rb", "purge", "rm", "del", "delete"}) and (
            call.has("-r", "-R", "--recursive", "--force") or bool(words & {"rb", "purge"})
        )
    if name in ("terraform", "tofu", "pulumi", "terragrunt", "cdk", "serverless", "sls", "vagrant"):
        return bool(words & {"destroy", "remove"}) or ("apply" in words and "-destroy" in words)
    if name in ("helm",):
        return False
    if name in ("eksctl", "kops", "kind", "k3d", "minikube", "doctl", "linode-cli"):
        return "delete" in words and ("cluster" in words or name in ("kind", "minikube"))
    if name == "kubeadm":
        return "reset" in words
    if name == "etcdctl":
        return "del" in words and call.has("--prefix", "--from-key")
    if name in ("virsh", "lxc", "incus", "qm", "pct", "vboxmanage", "VBoxManage"):
        return bool(words & {"undefine", "vol-delete", "pool-delete", "delete", "unregistervm"}) or (
            name in ("qm", "pct") and "destroy" in words
        )
    if name in ("ceph", "rbd", "gluster"):
        return any(
            pair in " ".join(values)
            for pair in ("pool delete", "pool rm", "osd destroy", "osd purge", "osd lost", "fs rm", "volume delete")
        ) or (name == "rbd" and bool(words & {"rm", "remove", "purge"}))
    return name in ("consul", "nomad", "vault") and (
        ("kv" in words and "delete" in words and "-recurse" in words)
        or ("system" in words and "gc" in words and False)
        or ("operator" in words and "seal" in words)
        or ("secrets" in words and "disable" in words)
    )
