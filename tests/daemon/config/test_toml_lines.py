"""Where a key stands, however TOML lets it be written."""

import pytest

from daemon.config.toml_lines import Location, line_of

TEXT = '''\
# a comment with [site] in it
site.name = "x"
[radio]
path = "a"   # ttl_s = 3
airtime = { burst_frames = 3,
  }
notes = """
[[slaves]]
ttl_s = 1
"""
'ttl_s' = 4
[ "radio" . more ]
"a b" = 1

[[slaves]]
slot = 0
[[slaves]]
[[slaves.windows]]
start = 1
[[slaves.windows]]
start = 2
[slaves.place]
room = 5
'''


@pytest.mark.parametrize(
    ("location", "line"),
    [
        (("site", "name"), 2),
        (("radio",), 3),
        (("radio", "path"), 4),
        (("radio", "airtime", "burst_frames"), 5),
        (("radio", "ttl_s"), 11),
        (("radio", "missing"), 3),
        (("radio", "more", "a b"), 13),
        (("slaves", 0, "slot"), 16),
        (("slaves", 0, "name"), 15),
        (("slaves", 1), 17),
        (("slaves", 1, "windows", 0, "start"), 19),
        (("slaves", 1, "windows", 1, "start"), 21),
        (("slaves", 1, "place", "room"), 23),
        (("nothing", "like", "it"), 1),
    ],
)
def test_line_of(location: Location, line: int) -> None:
    assert line_of(TEXT, location) == line
