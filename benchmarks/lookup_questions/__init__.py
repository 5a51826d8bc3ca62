"""Documents and questions about rows of tables and about handbooks in four languages."""
