// SPDX-License-Identifier: Apache-2.0

// Sleeping and waking: two producers push one message each, two consumers wait for them by the protocol of
// wait_word.hpp. One of the two consumers takes one message, or gives up when its time is over, and leaves; the other
// one stays. Nobody dies, so no consumer may be left asleep while there is a message: that is checked at the end, when
// nothing more can happen. Each access to shared memory is one step.

#define PRODUCERS 2

byte tail = 0;               // tickets claimed
byte head = 0;
bool published[PRODUCERS];
bool asleep = false;         // the wait word: the flag,
byte epoch = 0;              // and what changes with it
bool sleeps[2];              // what the kernel knows

// Wakes all, if there was a sleeper: first the word, then the sleepers.
inline wake(was_asleep) {
    if
    :: !was_asleep -> skip
    :: else ->
#ifdef MUTANT_WAKES_BEFORE_IT_CLEARS
        atomic { sleeps[0] = false; sleeps[1] = false }
#endif
#ifdef MUTANT_KEEPS_THE_EPOCH
        asleep = false;
#else
        atomic {  // a compare-and-swap; another waker has done it, if `asleep` is gone
            if
            :: asleep -> asleep = false; epoch++
            :: else -> skip
            fi
        }
#endif
#ifndef MUTANT_WAKES_BEFORE_IT_CLEARS
        atomic { sleeps[0] = false; sleeps[1] = false }
#endif
    fi
}

active [PRODUCERS] proctype producer() {
    byte ticket;
    bool was_asleep;
#ifdef MUTANT_LOOKS_BEFORE_IT_CLAIMS
    was_asleep = asleep;
#endif
    atomic { ticket = tail; tail++ }  // the claim
    published[ticket] = true;
#ifndef MUTANT_LOOKS_BEFORE_IT_CLAIMS
    was_asleep = asleep;
#endif
    wake(was_asleep)
}

proctype consumer(bit self; bool leaves) {
    byte value;
    bool nothing;
    bool popped;
again:
    atomic {  // a pop
        popped = head < tail && published[head];
        if
        :: popped -> head++
        :: else -> skip
        fi
    }
    if
    :: popped && leaves -> goto done
    :: popped && !leaves -> goto again
    :: else -> skip
    fi
#ifdef MUTANT_LOOKS_BEFORE_IT_ANNOUNCES
    nothing = head == tail;
    atomic { asleep = true; value = epoch }
#else
    atomic { asleep = true; value = epoch }  // the announcement
    nothing = head == tail;
#endif
    if
    :: !nothing && leaves -> goto done  // a producer is in the middle of a push, and the time is over
    :: !nothing -> (head == tail || published[head]) -> goto again  // it waits for that one
    :: else -> skip
    fi
    atomic {  // sleeps, if the word is still the same
        if
        :: asleep && epoch == value -> sleeps[self] = true
        :: else -> skip
        fi
    }
end:
    !sleeps[self] -> goto again;
done:
    skip
}

init {
    atomic {
        run consumer(0, true);
        run consumer(1, false)
    }
    timeout -> assert(head == PRODUCERS)
}
