"""The engine ``k8s://``: runs as jobs of a Kubernetes cluster, through its API and nothing else."""

from __future__ import annotations

from mainspring.compute.adapters.kubeaddress import read_address
from mainspring.compute.adapters.kubeclient import KubeClient
from mainspring.compute.adapters.kubeconfig import read_access
from mainspring.compute.adapters.kubelink import KubeLink
from mainspring.compute.engine import Description
from mainspring.compute.remote import RemoteEngine
from mainspring.domain.home import Home


class KubernetesEngine(RemoteEngine):
    """Executes runs as jobs of Kubernetes; each is a pod with `mainspring.worker.once`.

    Parameters
    ----------
    url : str
        ``k8s://CONTEXT/NAMESPACE?image=IMAGE&server=https://HOST:PORT&certificate=SHA256``; see `kubeaddress.Address`.
    home : Home
        Whose runs it executes.

    Raises
    ------
    Invalid
        WORK-017 when the URL says something else, WORK-018 when the kubeconfig cannot be used.

    Notes
    -----
    Guarantees: pods pass the restricted standard of namespaces, and OpenShift's default. Tokens of attempts lie in
    secrets that go with their jobs. What an earlier owner has left is found by its labels. With ``queue=`` the queue
    is Kueue's.
    Cost: two watches, three requests for an attempt and two for its end; its text is copied when somebody reads it,
    and at its end.
    """

    def __init__(self, url: str, home: Home) -> None:
        address = read_address(url)
        client = KubeClient(read_access(address.context, address.kubeconfig))
        shared = bool(address.reach.home)
        can = Description(
            url, owns_queue=bool(address.queue), gpus=True, shares_blobs=shared, reaches_owner=True, gang=True
        )
        super().__init__(home, can, KubeLink(home, address, client))
