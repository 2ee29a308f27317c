"""Who has agreed to a decision: one row for each person and decision."""

from quant_pipelines.deployment.decision import DECISION, Decision, recorded
from quant_pipelines.deployment.failures import ApproverRefused
from quant_pipelines.documents import Entry
from quant_pipelines.journal import Journal, Kind, Row


class Approval(Entry, frozen=True):
    """One person, in the role in which they have agreed."""

    decision: str
    person: str
    role: str


APPROVAL = Kind("approval", Approval)


def approve(journal: Journal, decision_id: str, *, person: str, role: str) -> Row:
    """Put on record that a person agrees. Agreeing twice changes nothing; another role is refused."""
    decision = _approvable(journal, decision_id)
    wanted = decision.policy.approver_role
    if role != wanted:
        raise ApproverRefused(
            f"{person} is {role}; decisions about {decision.model} are approved by who is {wanted}. Ask one of them."
        )
    value = Approval(decision=decision_id, person=named(person), role=role)
    entry = APPROVAL.entry(value, subject=decision.model, actor=value.person)
    return journal.append_once(f"approval:{decision_id}:{value.person}:{role}", entry)


def approvers(journal: Journal, model: str, decision_id: str, *, role: str) -> tuple[str, ...]:
    """The different people who have agreed in this role."""
    found = [APPROVAL.of(row) for row in journal.rows(kind=APPROVAL.name, subject=model)]
    return tuple(sorted({each.person for each in found if (each.decision, each.role) == (decision_id, role)}))


def named(person: str) -> str:
    """One spelling for one person: nobody counts twice by a capital letter."""
    return " ".join(person.split()).casefold()


def _approvable(journal: Journal, decision_id: str) -> Decision:
    found = recorded(journal, decision_id)
    if found is None:
        raise ApproverRefused(
            f"The journal has no decision {decision_id!r}. See `qp journal show --kind {DECISION.name}`."
        )
    if not found[1].goes_live:
        raise ApproverRefused(
            f"Decision {decision_id[:16]} about {found[1].model} is {found[1].verdict}: there is nothing to agree to."
        )
    return found[1]
