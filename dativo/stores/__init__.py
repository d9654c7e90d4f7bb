"""Object stores: S3, what speaks its protocol, and Azure Blob. Sources and targets reach them through `store.open_store`."""
