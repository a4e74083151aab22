from beholder.eval._outputs.rows import KeptRow
from beholder.eval._outputs.writer import PictureWriter
from tests.eval._outputs.rows_of import row


def test_a_writer_that_writes_at_once_needs_no_more_than_add() -> None:
    class Listed(PictureWriter):
        def add(self, row: KeptRow) -> str:
            self.files += 1
            return f"{row.key}.png"

    writer = Listed()
    mark = writer.add(row("a", b""))
    writer.close()
    assert (writer.place(mark), writer.files) == ("a.png", 1)
