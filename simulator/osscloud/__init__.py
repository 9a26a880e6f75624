"""A fake Alibaba Cloud OSS: `service.OssService` without sockets, `http_server.HttpServer` with them."""
