"""The process of `origin.MotoServer`: moto's S3 server on a free loopback port.

`python -m ossvol.s3_server` writes one line to its standard output, the port, and serves until it is killed. Nothing of
ossvol is imported; what listens is moto and werkzeug alone.
"""

from __future__ import annotations

import logging

__all__ = ["main"]


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
