"""Tests on a real Citus cluster. They run where ``PARLEY_TEST_CITUS_URL`` is set, and are skipped elsewhere.

``PARLEY_TEST_CITUS_URL`` is the address of a database on the coordinator for the ordinary role that owns it, and
``PARLEY_TEST_CITUS_ADMIN_URL`` the same for a superuser. The database has the extensions citus and vector, and nodes
for rows. Everything else in it is deleted. ``PARLEY_TEST_CITUS_SPARE_NODE`` (``HOST:PORT``) is a node that is added to
the cluster and removed again. ``PARLEY_TEST_CITUS_RESTART`` is a command that gets the ``HOST:PORT`` of a node as its
last argument, ends that node without a checkpoint, as a crash would, and starts it again.
"""
