"""Tables on a terminal and in a pipe, and fields."""

from mainspring.cli import printing


def test_a_pipe_gets_tabs(capsys):
    printing.print_table(("a", "b"), [(1, None), ("long text", 2)])
    assert capsys.readouterr().out == "a\tb\n1\t-\nlong text\t2\n"


def test_a_name_cannot_move_the_cursor_or_break_a_table(capsys):
    printing.print_table(("a", "b"), [("x\ty", "\x1b[2Jgone\nnext")])
    assert capsys.readouterr().out == "a\tb\nx y\t [2Jgone next\n"
    printing.print_fields({"name": "\x1b]0;title\x07"})
    assert "\x1b" not in capsys.readouterr().out


def test_no_rows_are_told_apart_from_data(capsys):
    printing.print_table(("a",), [], empty="nothing here")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "nothing here\n"


def test_fields_leave_out_what_is_absent_and_indent_the_rest(capsys):
    printing.print_fields({"name": "x", "gone": None, "params": "a = 1\nb = 2", "count": 0})
    assert capsys.readouterr().out == "name    x\nparams  a = 1\n        b = 2\ncount   0\n"
