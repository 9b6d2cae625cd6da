from datetime import timedelta
from random import Random

from postroom.config import Outgoing
from postroom.outbound.schedule import delay_after, is_given_up, jittered

SETTINGS = Outgoing()


def test_each_delay_is_twice_the_one_before_up_to_four_hours():
    minutes = [delay_after(attempt, SETTINGS).total_seconds() / 60 for attempt in range(1, 10)]
    assert minutes == [5, 10, 20, 40, 80, 160, 240, 240, 240]


def test_mail_is_tried_for_five_days():
    attempts = next(n for n in range(1, 1000) if is_given_up(n, SETTINGS))
    waited = sum((delay_after(n, SETTINGS) for n in range(1, attempts)), timedelta())
    assert timedelta(days=4, hours=20) < waited <= timedelta(days=5)


def test_any_number_of_attempts_can_be_asked_about():
    assert is_given_up(10**6, SETTINGS)
    assert delay_after(10**6, SETTINGS) == timedelta(hours=4)


def test_a_first_delay_longer_than_the_longest_is_cut():
    assert delay_after(1, Outgoing(retry_first_seconds=60, retry_max_seconds=10)) == timedelta(seconds=10)


def test_mails_that_failed_together_are_not_tried_again_together():
    random = Random(1)
    delays = {jittered(timedelta(minutes=4), random) for _ in range(50)}
    assert len(delays) == 50
    assert all(timedelta(minutes=3) <= delay <= timedelta(minutes=5) for delay in delays)
