"""Serving: the data plane of a service, its captures and the decision of a rollout.

A service is one process that lives apart from the owner. They meet in the service's folder:
the owner writes ``desired.json``, the plane writes ``status.json`` and ``capture/``.
"""
