"""Resource access management: users, roles, policies, and what a policy says to a request.

Knows nothing of signatures and of buckets; `permission` asks it, `accounts` keeps what it works on.
"""
