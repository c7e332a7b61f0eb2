"""What the two type checkers must say: these files are checked and never run.

The same files are checked once more beside the built wheel alone, as a user's would be
(``nox -s typing_user``). What must be refused carries an ignore for each checker; when it
is refused no longer, the ignore is one too many, which both of them report.
"""
