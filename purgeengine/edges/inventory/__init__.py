"""The state of an inventory on disk, and the files that it writes."""

from purgeengine.edges.inventory.stock_store import StockStore, StoredMailbox

__all__ = ["StockStore", "StoredMailbox"]
