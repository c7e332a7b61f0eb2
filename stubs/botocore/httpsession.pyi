import ssl

def create_urllib3_context(
    ssl_version: object = ...,
    cert_reqs: object = ...,
    options: object = ...,
    ciphers: object = ...,
) -> ssl.SSLContext: ...
def get_cert_path(verify: bool | str) -> str: ...
