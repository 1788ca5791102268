"""Teams as their members meet them: invitations, roles, leaving, settings, tokens, the audit log."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone

from tests.web.people import PASSWORD, person, signed_in, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.audit import AccountError
from webapp.accounts.links import invitation_accept, invitation_create
from webapp.accounts.models import ApiToken, AuditEntry, Invitation, Membership, Team, User
from webapp.accounts.rules import Action, Role, actions_of
from webapp.accounts.scopes import WORDS
from webapp.accounts.services import membership_end, membership_leave, membership_set, system_team, team_create
from webapp.accounts.tokens import api_token_check

BASE = "/t/ward-7"


def role_of(user, team) -> str | None:
    return Membership.objects.filter(user=user, team=team).values_list("role", flat=True).first()


def last_line(team) -> AuditEntry:
    return team.audit.latest("id")


def invite(client, **fields) -> str:
    """Make an invitation on the page; the secret of its link."""
    answer = client.post(f"{BASE}/members/invite/", {"email": "", "role": "viewer", **fields})
    assert answer.status_code == 200, answer.content
    return re.search(r"/invitation/#([\w-]{43})", answer.content.decode()).group(1)


def open_invitation(client, secret):
    return client.post("/invitation/", {"secret": secret})


# --- invitations ---------------------------------------------------------------------------------------------------


def test_a_link_is_shown_once_and_lets_one_person_in(world):
    owner, guest = signed_in(world.by_role[Role.OWNER]), person("guest")
    secret = invite(owner, role="annotator")
    assert secret not in owner.get(f"{BASE}/members/").content.decode()
    assert not Invitation.objects.filter(secret_hash__contains=secret).exists()

    client = signed_in(guest)
    assert open_invitation(client, secret).url == "/invitation/answer/"
    assert "Ward 7" in client.get("/invitation/answer/").content.decode()
    assert role_of(guest, world.team) is None
    assert client.post("/invitation/join/").url == f"{BASE}/members/"
    assert role_of(guest, world.team) == Role.ANNOTATOR

    second = signed_in(person("second"))
    assert "not valid any more" in open_invitation(second, secret).content.decode()


def test_opening_a_link_spends_nothing(world):
    secret = invite(signed_in(world.by_role[Role.OWNER]))
    Client().get("/invitation/")
    stranger = Client()
    open_invitation(stranger, secret)
    stranger.get("/invitation/answer/")
    assert Invitation.objects.get().accepted is None


def test_a_new_person_signs_up_through_an_invitation_and_is_in_the_team(world):
    client = Client()
    form = {"username": "newcomer", "email": "new@ward.example", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", form)
    assert not User.objects.filter(username="newcomer").exists(), "sign-up is closed without an invitation"

    open_invitation(client, invite(signed_in(world.by_role[Role.OWNER])))
    assert "/accounts/signup/" in client.get("/invitation/answer/").content.decode()
    assert client.post("/accounts/signup/", form).status_code == 302
    newcomer = User.objects.get(username="newcomer")
    assert role_of(newcomer, world.team) == Role.VIEWER
    assert client.get(f"{BASE}/members/").status_code == 200


def test_one_invitation_makes_one_account(world):
    secret = invite(signed_in(world.by_role[Role.OWNER]))
    first, second = Client(), Client()
    open_invitation(first, secret)
    open_invitation(second, secret)
    form = {"password1": PASSWORD, "password2": PASSWORD}
    first.post("/accounts/signup/", {"username": "first", "email": "first@ward.example", **form})
    second.post("/accounts/signup/", {"username": "second", "email": "second@ward.example", **form})
    assert [user.username for user in User.objects.filter(username__in=["first", "second"])] == ["first"]


def test_an_invitation_for_an_address_is_for_that_person(world):
    owner = signed_in(world.by_role[Role.OWNER])
    secret = invite(owner, email="Nurse@Ward.example")
    wrong = signed_in(person("wrong"))
    open_invitation(wrong, secret)
    answer = wrong.post("/invitation/join/")
    assert answer.status_code == 409
    assert "another e-mail address" in answer.content.decode()
    assert "nurse@ward.example" not in answer.content.decode(), "whom it is for is not told to others"

    stranger = Client()
    open_invitation(stranger, secret)
    form = {"username": "nurse", "password1": PASSWORD, "password2": PASSWORD}
    assert stranger.post("/accounts/signup/", {**form, "email": "other@ward.example"}).status_code == 200
    assert stranger.post("/accounts/signup/", {**form, "email": "nurse@ward.example"}).status_code == 302
    assert role_of(User.objects.get(username="nurse"), world.team) == Role.VIEWER


@pytest.mark.parametrize("how", ["revoked", "expired", "accepted"])
def test_a_link_that_is_over_says_so(world, how):
    owner = world.by_role[Role.OWNER]
    invitation, secret = invitation_create(actor=Actor(owner), team=world.team, role=Role.VIEWER)
    client = signed_in(person("late"))
    open_invitation(client, secret)
    if how == "revoked":
        signed_in(owner).post(f"{BASE}/invitations/{invitation.pk}/revoke/")
    elif how == "expired":
        Invitation.objects.update(expires=timezone.now() - timedelta(seconds=1))
    else:
        invitation_accept(actor=Actor(person("quick")), invitation=invitation)
    assert client.get("/invitation/answer/").status_code == 410
    client.post("/invitation/join/")
    assert role_of(User.objects.get(username="late"), world.team) is None
    assert "not valid any more" in open_invitation(client, secret).content.decode()


def test_a_member_does_not_spend_an_invitation(world):
    invitation, _ = invitation_create(actor=Actor(world.by_role[Role.OWNER]), team=world.team, role=Role.VIEWER)
    with pytest.raises(AccountError, match="already"):
        invitation_accept(actor=Actor(world.by_role[Role.MANAGER]), invitation=invitation)
    invitation_accept(actor=Actor(person("meant")), invitation=invitation)


def test_an_invitation_is_mailed_where_mail_leaves_the_instance(world, settings, mailoutbox):
    owner = signed_in(world.by_role[Role.OWNER])
    invite(owner, email="nurse@ward.example")
    assert mailoutbox == []
    settings.HAS_MAIL = True
    secret = invite(owner, email="other@ward.example")
    assert mailoutbox[0].to == ["other@ward.example"]
    assert f"/invitation/#{secret}" in mailoutbox[0].body


# --- members -------------------------------------------------------------------------------------------------------


def test_a_manager_decides_about_annotators_and_viewers_only(world):
    manager, team = signed_in(world.by_role[Role.MANAGER]), world.team
    of = {role: Membership.objects.get(team=team, user=user) for role, user in world.by_role.items()}
    manager.post(f"{BASE}/members/{of[Role.VIEWER].pk}/role/", {"role": "annotator"})
    assert role_of(world.by_role[Role.VIEWER], team) == Role.ANNOTATOR
    assert last_line(team).verb == "membership.changed" and last_line(team).address == "127.0.0.1"

    manager.post(f"{BASE}/members/{of[Role.VIEWER].pk}/role/", {"role": "owner"})
    manager.post(f"{BASE}/members/{of[Role.OWNER].pk}/role/", {"role": "viewer"})
    manager.post(f"{BASE}/members/{of[Role.OWNER].pk}/remove/")
    assert role_of(world.by_role[Role.VIEWER], team) == Role.ANNOTATOR
    assert role_of(world.by_role[Role.OWNER], team) == Role.OWNER
    assert manager.post(f"{BASE}/members/invite/", {"email": "", "role": "owner"}).status_code == 400

    manager.post(f"{BASE}/members/{of[Role.ANNOTATOR].pk}/remove/")
    assert role_of(world.by_role[Role.ANNOTATOR], team) is None


def test_a_team_keeps_an_owner(world):
    owner, team = world.by_role[Role.OWNER], world.team
    with pytest.raises(AccountError, match="only owner"):
        membership_leave(actor=Actor(owner), team=team)
    signed_in(owner).post(f"{BASE}/members/leave/")
    with pytest.raises(AccountError, match="only owner"):
        membership_set(actor=Actor(owner), team=team, user=owner, role=Role.VIEWER)
    assert role_of(owner, team) == Role.OWNER
    membership_set(actor=SYSTEM, team=team, user=world.by_role[Role.MANAGER], role=Role.OWNER)
    signed_in(owner).post(f"{BASE}/members/leave/")
    assert role_of(owner, team) is None


def test_who_is_out_is_out_by_every_door(world):
    """Pages, tokens, and the invitations that they made themselves."""
    manager, team = world.by_role[Role.MANAGER], world.team
    text = token(manager, team, Role.MANAGER)
    invitation, _ = invitation_create(actor=Actor(manager), team=team, role=Role.VIEWER)
    membership_end(actor=Actor(world.by_role[Role.OWNER]), team=team, user=manager)
    assert signed_in(manager).get(f"{BASE}/members/").status_code == 404
    assert api_token_check(text=text) is None
    with pytest.raises(AccountError, match="not valid"):
        invitation_accept(actor=Actor(manager), invitation=invitation)
    membership_set(actor=SYSTEM, team=team, user=manager, role=Role.MANAGER)
    assert api_token_check(text=text) is None, "coming back does not revive old tokens"


def test_an_owner_who_becomes_less_leaves_no_invitation_to_more(world):
    owner, team = world.by_role[Role.OWNER], world.team
    wide, _ = invitation_create(actor=Actor(owner), team=team, role=Role.OWNER)
    narrow, _ = invitation_create(actor=Actor(owner), team=team, role=Role.VIEWER)
    membership_set(actor=SYSTEM, team=team, user=world.by_role[Role.MANAGER], role=Role.OWNER)
    membership_set(actor=SYSTEM, team=team, user=owner, role=Role.MANAGER)
    assert Invitation.objects.get(pk=wide.pk).revoked is not None
    assert Invitation.objects.get(pk=narrow.pk).revoked is None


# --- teams ---------------------------------------------------------------------------------------------------------


def test_teams_of_the_same_name_have_slugs_of_their_own(db):
    ann = person("ann")
    slugs = [team_create(actor=SYSTEM, name=name, owner=ann).slug for name in ("Ward 9", "Ward 9", "Bundled", "心")]
    assert slugs == ["ward-9", "ward-9-2", "bundled-2", "team"]
    assert system_team().slug == "bundled"
    assert system_team() == Team.objects.get(is_system=True)


def test_an_operator_makes_a_team_for_somebody_else(world):
    operator = signed_in(world.operator)
    assert operator.post("/teams/new/", {"name": "Cardiology", "owner": "nobody"}).status_code == 400
    operator.post("/teams/new/", {"name": "Cardiology", "owner": "Neighbour"})
    team = Team.objects.get(name="Cardiology")
    assert role_of(world.other_owner, team) == Role.OWNER
    assert operator.get(f"/t/{team.slug}/members/").status_code == 404


def test_settings_of_a_team(world):
    owner = signed_in(world.by_role[Role.OWNER])
    owner.post(f"{BASE}/settings/", {"name": "Ward Seven", "mfa_required": "on"})
    team = Team.objects.get(pk=world.team.pk)
    assert (team.name, team.slug, team.mfa_required) == ("Ward Seven", "ward-7", True)
    assert last_line(team).verb == "team.changed"


def test_the_audit_log_is_read_page_by_page_and_never_changes_under_the_reader(world):
    team = world.team
    for number in range(120):
        AuditEntry.objects.create(team=team, actor_name="x", via="page", verb=f"line.{number}")
    owner, url, seen = signed_in(world.by_role[Role.OWNER]), f"{BASE}/audit/", []
    while url:
        text = owner.get(url).content.decode()
        seen += re.findall(r"line\.(\d+)<", text)
        AuditEntry.objects.create(team=team, actor_name="x", via="page", verb="newer")
        older = re.search(r"\?before=\d+", text)
        url = f"{BASE}/audit/{older.group()}" if older else ""
    assert seen == [str(number) for number in reversed(range(120))]


# --- tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_stored_as_its_hash(world):
    viewer = signed_in(world.by_role[Role.VIEWER])
    page = f"{BASE}/tokens/"
    made = viewer.post(page, {"name": "notebook", "scopes": ["dataset.view"], "days": "30"}).content.decode()
    text = re.search(r"meds3_[0-9a-f]{8}_[\w-]{43}", made).group()
    assert text not in viewer.get(page).content.decode()
    stored = ApiToken.objects.get()
    assert text.split("_", 2)[2] not in (stored.secret_hash, stored.prefix)
    bearer = api_token_check(text=text)
    assert (bearer.user, bearer.team, bearer.actions) == (stored.user, world.team, {Action.DATASET_VIEW})
    viewer.post(f"{BASE}/tokens/{stored.pk}/revoke/")
    assert api_token_check(text=text) is None


def test_nobody_makes_a_token_wider_than_their_role(world):
    viewer = signed_in(world.by_role[Role.VIEWER])
    form = {"name": "wide", "scopes": ["dataset.view", "team.own"], "days": "30"}
    assert viewer.post(f"{BASE}/tokens/", form).status_code == 400
    with pytest.raises(AccountError, match=r"team\.own"):
        token(world.by_role[Role.VIEWER], world.team, Role.OWNER)
    with pytest.raises(AccountError, match="at least one"):
        token(world.by_role[Role.VIEWER], world.team, Role.VIEWER, scopes=())
    assert not ApiToken.objects.exists()


def test_a_token_narrows_with_its_owner(world):
    manager = world.by_role[Role.MANAGER]
    text = token(manager, world.team, Role.MANAGER)
    assert Action.DATASET_CHANGE in api_token_check(text=text).actions
    membership_set(actor=SYSTEM, team=world.team, user=manager, role=Role.VIEWER)
    assert Action.DATASET_CHANGE not in api_token_check(text=text).actions
    ApiToken.objects.update(scopes=["dataset.view", "an.action.of.old"])
    assert api_token_check(text=text).actions == {Action.DATASET_VIEW}
    ApiToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert api_token_check(text=text) is None


def test_everybody_sees_their_own_tokens_only(world):
    token(world.by_role[Role.MANAGER], world.team, Role.MANAGER)
    theirs = ApiToken.objects.get()
    owner = signed_in(world.by_role[Role.OWNER])
    assert theirs.prefix not in owner.get(f"{BASE}/tokens/").content.decode()
    assert owner.post(f"{BASE}/tokens/{theirs.pk}/revoke/").status_code == 404


# --- one's own -----------------------------------------------------------------------------------------------------


def test_profile_and_address(world):
    viewer = world.by_role[Role.VIEWER]
    client = signed_in(viewer)
    client.post("/profile/", {"name": "Vera Viewer", "theme": "dark"})
    viewer.refresh_from_db()
    assert (viewer.name, viewer.theme) == ("Vera Viewer", "dark")

    assert client.get("/profile/email/").status_code == 302, "the password is asked for first"
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    assert client.post("/profile/email/", {"email": "OWNER@ward.example"}).status_code == 400
    assert client.post("/profile/email/", {"email": "Vera@ward.example"}).status_code == 302
    viewer.refresh_from_db()
    assert viewer.email == "vera@ward.example"
    assert AuditEntry.objects.filter(actor=viewer, verb="user.email").count() == 1


def test_every_action_has_words_and_the_token_page_shows_them_by_group(world):
    assert {action for group in WORDS.values() for action in group} == set(Action)
    owner = signed_in(world.by_role[Role.OWNER])
    page = owner.get("/t/ward-7/tokens/").content.decode()
    assert page.count('name="scopes"') == len(Action)
    for group, found in WORDS.items():
        assert f'<legend class="form-label text-secondary">{group}</legend>' in page
        assert all(words in unescape(page) for words in found.values())
    viewer = signed_in(world.by_role[Role.VIEWER]).get("/t/ward-7/tokens/").content.decode()
    assert "Submit jobs" not in viewer and viewer.count('name="scopes"') == len(actions_of(Role.VIEWER))
    wanted = {"name": "Board", "scopes": ["job.view", "job.submit"], "days": "30"}
    assert "Submit jobs of every kind" in owner.post("/t/ward-7/tokens/", wanted).content.decode()
    assert owner.post("/t/ward-7/tokens/", wanted | {"scopes": []}).status_code == 400
