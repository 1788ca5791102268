"""The frame of pages: the theme, error pages, navigation, lists by key."""

from types import SimpleNamespace

import pytest
from django import forms
from django.http import Http404
from django.template import Context, Template
from django.test import Client, RequestFactory

from webapp.accounts.models import AuditEntry, Membership, Team, User
from webapp.accounts.rules import Role
from webapp.common import errors, navigation
from webapp.common.paging import page_of


@pytest.fixture
def ada(db: None, client: Client) -> User:
    user = User.objects.create(username="ada")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return user


def test_a_crash_is_answered_without_the_database() -> None:
    # No `db` fixture: a query here would fail the test.
    answer = errors.server_error(RequestFactory().get("/"))
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()


def test_a_crash_is_answered_without_static_files(settings: SimpleNamespace) -> None:
    settings.TEMPLATES = [settings.TEMPLATES[0] | {"DIRS": [], "APP_DIRS": False}]
    answer = errors.server_error(RequestFactory().get("/"))
    assert (answer.status_code, answer.content.decode()) == (500, errors.LAST_RESORT)


def test_an_error_says_no_more_than_was_meant_for_the_person(ada: User) -> None:
    request = RequestFactory().get("/")
    assert "secret" not in errors.forbidden(request, ValueError("secret")).content.decode()
    assert "secret" not in errors.not_found(request, Http404("secret")).content.decode()


@pytest.mark.parametrize(
    ("asked", "goes_to"), [("/profile/", "/profile/"), ("https://elsewhere.example/", "/"), ("//elsewhere", "/")]
)
def test_a_theme_is_kept_and_leads_back_only_here(ada: User, client: Client, asked: str, goes_to: str) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": asked})
    assert (answer.status_code, answer["Location"]) == (302, goes_to)
    ada.refresh_from_db()
    assert ada.theme == "dark"


def test_an_unknown_theme_is_refused(ada: User, client: Client) -> None:
    assert client.post("/theme/", {"theme": "pink"}).status_code == 400
    assert client.get("/theme/").status_code == 405


def test_the_navigation_follows_the_role(db: None) -> None:
    team = Team.objects.create(name="Oncology", slug="oncology")
    members = {
        role: Membership.objects.create(user=User.objects.create(username=role), team=team, role=role) for role in Role
    }

    def shown(role: Role) -> list[str]:
        found = navigation.links(navigation.TEAM, path="/t/oncology/members/", membership=members[role])
        assert [link.label for link in found if link.current] == ["Members"]
        return [link.label for link in found]

    assert "Audit log" in shown(Role.OWNER)
    assert "Audit log" not in shown(Role.VIEWER)
    assert navigation.links(navigation.TEAM, path="/", membership=None) == []
    assert navigation.first_page(members[Role.ANNOTATOR]).startswith("/t/oncology/")


def test_the_pages_that_exist_are_in_the_navigation(db: None) -> None:
    """A page that is renamed would vanish from the navigation without a word."""
    team = Team.objects.create(name="Oncology", slug="oncology")
    owner = Membership.objects.create(user=User.objects.create(username="o"), team=team, role=Role.OWNER)
    for entries in (navigation.TEAM, navigation.ACCOUNT):
        assert len(navigation.links(entries, path="/", membership=owner)) == len(entries)
    assert "New team" in [link.label for link in navigation.links(navigation.INSTANCE, path="/")]


def test_pages_by_key_walk_to_the_end_and_back(db: None) -> None:
    for number in range(7):
        AuditEntry.objects.create(actor_name=str(number), via="page", verb="x")
    rows = AuditEntry.objects.all()

    def names(query: dict[str, str]) -> tuple[str, str, str]:
        page = page_of(rows, query, size=3)
        return "".join(row.actor_name for row in page.rows), page.newer, page.older

    def follow(link: str) -> dict[str, str]:
        return dict(pair.split("=") for pair in link.split("&"))

    first = names({"verb": "x"})
    assert (first[0], first[1]) == ("654", "")
    second = names(follow(first[2]))
    assert second[0] == "321"
    last = names(follow(second[2]))
    assert (last[0], last[2]) == ("0", "")
    assert names(follow(last[1]))[0] == "321"
    back = names(follow(second[1]))
    assert (back[0], back[1]) == ("654", "")
    assert follow(first[2])["verb"] == "x"
    with pytest.raises(Http404):
        page_of(rows, {"before": "nonsense"})


class Sample(forms.Form):
    name = forms.CharField(help_text="As on the door.")
    agree = forms.BooleanField()
    way = forms.ChoiceField(choices=[("a", "A"), ("b", "B")], widget=forms.RadioSelect)
    kind = forms.ChoiceField(choices=[("a", "A")])

    def clean(self) -> None:
        raise forms.ValidationError("The whole is wrong.")


def test_forms_come_in_the_look_of_the_product_with_errors_said_to_readers_too() -> None:
    drawn = Template("{{ form }}").render(Context({"form": Sample({"kind": "a"})}))
    assert 'class="form-control is-invalid"' in drawn
    assert 'aria-describedby="id_name_helptext id_name_error"' in drawn
    assert 'id="id_name_error"' in drawn
    assert 'id="id_name_helptext"' in drawn
    assert 'class="form-select"' in drawn
    assert "<legend" in drawn
    assert '<div id="id_way"' not in drawn  # Django's own list of choices, which has no look
    assert drawn.count('class="form-check-input"') == 2
    assert "The whole is wrong." in drawn
