"""What OSS does once a request is understood and allowed: one module a family of operations.

Every operation is a function of one `call.Call` that returns a `Response` or raises `OssError`; `routes.route` picks
it. None of them knows of sockets, signatures or logs. Called from any thread; state is changed under `Store.lock` only.
"""
