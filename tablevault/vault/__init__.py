"""The only room that knows files, Parquet and manifests."""
