from botocore.client import ClientMeta

class AioBaseClient:
    meta: ClientMeta
