"""An observer that keeps what it was told."""

from sluicegate.ports import Record


class Seen:
    """Every record, in order."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def decided(self, record: Record) -> None:
        """Keep it."""
        self.records.append(record)

    @property
    def last(self) -> Record:
        """The newest."""
        return self.records[-1]
