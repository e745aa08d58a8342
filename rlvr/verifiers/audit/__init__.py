"""An attack on a verifier, and how often it was wrong.

from rlvr.verifiers.audit.audit import audit
from rlvr.verifiers.audit.targets import seed_targets

found = audit("math", targets=seed_targets("math"))
found.false_accept_rate, found.false_reject_rate, found.as_json()

cases      what is put to the verifier, and what is known of it     seeds    references to begin with
attacks    completions that are worth nothing                       targets  references, and other answers to each
renderings completions that are right                               judging  every case twice, the second time in
floods     attacks by size                                                   another order; worker: a user's function
audit      the audit itself                                         result   rates, tables, complaints
"""
