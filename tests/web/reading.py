"""Pages as they are read."""

import re
from html import unescape

from django.urls import reverse


def page_of(client, name, *arguments, **query):
    answer = client.get(reverse(name, args=arguments), query)
    assert answer.status_code == 200
    return answer.content.decode()


def words_of(html):
    """The page as it is read: no tags, spaces as one."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
