// SPDX-License-Identifier: Apache-2.0

// Waiting on a queue that is being closed, by the protocol of wait_word.hpp. Consumers wait for a message, or until
// the queue is closed and no message can come any more. What may still come are the messages that were claimed for a
// push before, and those that a consumer has in its hands: it may hand them back.
//
// Consumers sleep on their own word; but once the queue is closed and all its messages are claimed for a pop, on the
// producers' word, as watchers, because a release looks at that one. Whenever nothing more can happen, no consumer may
// be asleep that could go on. Marks, epochs and steps are those of waiting.pml.

#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef POPPERS
#define POPPERS 1   // they pop one message without ever waiting
#endif
#ifndef HANDED_BACK
#define HANDED_BACK 0
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#define everybody 9

#ifdef CLOSED
bool closed = true;  // before anybody comes
#else
bool closed = false;
#endif
byte tail = 1;       // one message was claimed for a push before the queue is closed
byte head = 0;
bool published[2];
byte in_hands = 0;   // claimed for a pop, and not released
byte orphans = 0;
byte handed_back = 0;

typedef wait_word { bool asleep; bool watching; byte holds_value }
wait_word words[2];
#define own 0        // the consumers' word
#define other 1      // the producers'
bool sleeps[2 * CONSUMERS];  // on their own word, then on the other one
byte deaths = 0;
bool excused = false;

#define drained (closed && head == tail)
#define is_over (drained && in_hands == 0 && orphans == 0)
#define has_message (orphans > 0 || (head < tail && published[head]))
#define is_asleep(i) (sleeps[i] || sleeps[CONSUMERS + i])

#if DEATHS > 0
#define MAY_DIE \
    if \
    :: deaths < DEATHS -> deaths++; excused = true; goto died \
    :: true \
    fi
#else
#define MAY_DIE skip
#endif

#define WAKE_SLEEPER(i) :: woken < wanted && sleeps[(where) * CONSUMERS + i] -> \
    sleeps[(where) * CONSUMERS + i] = false; woken++
inline wake(where, count) {
    atomic { MAY_DIE; goes_on = words[where].asleep; wanted = count };
    do
    :: goes_on ->
        atomic {
            MAY_DIE;
            goes_on = words[where].asleep;
            if
            :: goes_on ->
                if :: words[where].watching -> wanted = everybody :: else -> skip fi;
                words[where].holds_value = 1 << self
            :: else -> break
            fi
        };
        atomic {
            MAY_DIE;
            woken = 0;
            do
            WAKE_SLEEPER(0)
#if CONSUMERS > 1
            WAKE_SLEEPER(1)
#endif
#if CONSUMERS > 2
            WAKE_SLEEPER(2)
#endif
            :: else -> break
            od
        };
        if
        :: woken < wanted ->
            atomic {
                MAY_DIE;
                if
                :: words[where].asleep && (words[where].holds_value & (1 << self)) ->
                    words[where].asleep = false; words[where].watching = false; words[where].holds_value = 0;
                    wanted = everybody
                :: else -> wanted = 0
                fi
            };
            atomic {  // those that have relied on the marks
                MAY_DIE;
                woken = 0;
                do
                WAKE_SLEEPER(0)
#if CONSUMERS > 1
                WAKE_SLEEPER(1)
#endif
#if CONSUMERS > 2
                WAKE_SLEEPER(2)
#endif
                :: else -> break
                od
            };
            break
        :: else ->
            atomic {
                MAY_DIE;
                if :: words[where].watching -> wanted = everybody :: else -> break fi
            }
        fi
    :: else -> break
    od;
    atomic {
        words[where].holds_value = words[where].holds_value & ~(1 << self);
        goes_on = false;
        woken = 0;
        wanted = 0
    }
}

proctype producer(byte self) {
    byte wanted; byte woken; bool goes_on;
    atomic { MAY_DIE; published[0] = true };
    wake(own, 1);
died:
    skip
}

proctype closer(byte self) {
    byte wanted; byte woken; bool goes_on;
    closed = true;
#ifdef MUTANT_CLOSES_SILENTLY
    goto died;
#endif
    wake(own, everybody);
    wake(other, everybody);
died:
    skip
}

inline look() {
    atomic {
        MAY_DIE;
        found = false;
        took = false;
        if
        :: orphans > 0 -> orphans--; in_hands++; took = true
        :: orphans == 0 && head < tail && published[head] -> head++; in_hands++; took = true
        :: else -> found = is_over
        fi
    }
}
// What a consumer does with a message that it has taken.
inline finish() {
    if
    :: atomic { in_hands--; took = false }; found = true;
        wake(other, 1)
    :: atomic { handed_back < HANDED_BACK -> in_hands--; orphans++; handed_back++; took = false }; found = true;
        wake(own, 1);
#ifndef MUTANT_HANDS_BACK_ON_ONE_WORD
        if :: closed -> wake(other, everybody) :: else -> skip fi
#endif
    fi
}

proctype popper(byte self) {
    byte wanted; byte woken; bool goes_on; bool found; bool took;
    look();
    if
    :: took -> finish()
    :: else -> skip
    fi;
died:
    skip
}

proctype consumer(byte self) {
    byte wanted; byte woken; bool goes_on; bool found; bool took;
    bit where;
    bool announced[2];
again:
    look();
    if
    :: took || found -> goto leave
    :: else -> skip
    fi;
    where = (drained -> other : own);
    atomic {
        MAY_DIE;
        if
        :: !words[where].asleep || (where == other && !words[where].watching) -> words[where].holds_value = 1 << self
        :: else -> words[where].holds_value = words[where].holds_value | (1 << self)
        fi;
        words[where].asleep = true;
#ifdef MUTANT_FORGETS_ITS_WORD
        announced[own] = false;
#endif
        if :: where == other -> words[where].watching = true :: else -> skip fi;
        announced[where] = true
    };
    look();
    if
    :: took || found -> goto leave
    :: else -> skip
    fi;
#ifndef MUTANT_DECIDES_ONCE
    if
    :: where == own && drained -> goto again  // it would sleep on the wrong word
    :: else -> skip
    fi;
#endif
    atomic {
        MAY_DIE;
        if
        :: words[where].holds_value & (1 << self) -> sleeps[where * CONSUMERS + self] = true
        :: else -> skip
        fi;
        words[where].holds_value = words[where].holds_value & ~(1 << self)
    };
end:
    !is_asleep(self) -> goto again;  // looks again
leave:
    // Before it does anything with the message, which may take it for ever.
#ifndef MUTANT_LEAVES_SILENTLY
    if
    :: !announced[own] -> skip
    :: else ->
        announced[own] = false;
        if
#ifndef MUTANT_PASSES_ON_MESSAGES_ONLY
        :: drained -> wake(own, everybody)
#endif
        :: has_message -> wake(own, 1)
        :: else -> skip
        fi
    fi;
#endif
    if
    :: took -> finish()
    :: else -> skip
    fi;
died:
    skip
}

init {
    byte i;
    bool nobody_is_late;
    atomic {
        i = 0;
        do
        :: i < CONSUMERS -> run consumer(i); i++
        :: else -> break
        od;
#ifndef CLOSED
        run closer(CONSUMERS);
#endif
        run producer(CONSUMERS + 1);
        i = 0;
        do
        :: i < POPPERS -> run popper(CONSUMERS + 2 + i); i++
        :: else -> break
        od;
        i = 0
    };
    timeout ->
        do
        :: i < CONSUMERS ->
            nobody_is_late = excused || !is_asleep(i) || !(has_message || is_over);
            assert(nobody_is_late);
            i++
        :: else -> break
        od
}
