// SPDX-License-Identifier: Apache-2.0

// Sleeping and waking, by the protocol of wait_word.hpp: one is woken for one message. Producers push, consumers wait.
// Each access to shared memory, and each call of the kernel, is one step. Messages may be published in another order
// than they were claimed in; so a consumer may find a position in progress, and sleeps behind that as well.
//
// Whenever nothing more can happen (`timeout`), no participant may be asleep that could go on. If a process was killed
// or stopped, one may: then the interval of one sleeper, the keeper, must be enough, or else the next time at which all
// sleepers wake up. And that must be over with the next message, but for one death: see kernel_wakes_joiners.
//
// The epoch of the wait word is not counted. What matters is whether the word still has the value that a participant
// has made or found: `holds_value` says so. So nothing is limited, but that the epoch comes round is not modelled.
//
// The other role, producers that wait for room, is the mirror image: claims and releases in place of claims and
// publications. What only it has, `push_all` that needs several slots at once, is a consumer here that needs two
// messages at once (PAIRS).

#ifndef PRODUCERS
#define PRODUCERS 2  // of one message each
#endif
#ifndef BATCHES
#define BATCHES 0    // how many of the producers push two messages in a batch
#endif
#ifndef TAKERS
#define TAKERS 2     // consumers that wait for a message and take it
#endif
#ifndef WATCHERS
#define WATCHERS 0   // that wait until there is one, and leave it to others
#endif
#ifndef PAIRS
#define PAIRS 0      // that wait until there are two
#endif
#ifndef DEATHS
#define DEATHS 0     // processes that are killed, or stopped for good
#endif
#ifndef LATE
#define LATE 0       // producers that come once everything has settled
#endif

#define CONSUMERS (TAKERS + WATCHERS + PAIRS)
#define MESSAGES (PRODUCERS + BATCHES)
#define everybody 9

mtype = { unclaimed, claimed, abandoned, published, tombstone };
mtype slot[MESSAGES + 2] = unclaimed;
byte tail = 0;
byte head = 0;

bool asleep = false;    // the wait word: its marks,
bool watching = false;
byte holds_value = 0;   // and, one bit for each process, whether it knows the value that the word has
bool sleeps[CONSUMERS]; // what the kernel knows
bool rings[CONSUMERS];  // whether its time to look for the dead has come

byte deaths = 0;
bool excused = false;   // somebody was killed or stopped since everything had settled
byte rounds = 0;        // the intervals since
bool late = false;

#define ready(position) (slot[position] == published || slot[position] == tombstone)
#define is_taker(i) (i < TAKERS)
#define is_watcher(i) (i >= TAKERS && i < TAKERS + WATCHERS)
#define is_pair(i) (i >= TAKERS + WATCHERS)
#define can_go_on(i) (ready(head) && (!is_pair(i) || ready(head + 1)))
#define kept_waiting(i) (sleeps[i] && can_go_on(i))

// Before a step: the process may be killed, or stopped for good.
#if DEATHS > 0
#define MAY_DIE \
    if \
    :: deaths < DEATHS -> deaths++; excused = true; rounds = 0; goto died \
    :: true \
    fi
#else
#define MAY_DIE skip
#endif

// FUTEX_WAKE: which ones are woken is not known.
#define WAKE_SLEEPER(i) :: woken < wanted && sleeps[i] -> sleeps[i] = false; woken++
inline kernel_wakes() {
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
#if CONSUMERS > 3
        WAKE_SLEEPER(3)
#endif
        :: else -> break
        od
    }
}

// The same for those that have relied on marks which were taken away just now. A waker that is killed before it leaves
// sleepers whom later wakers do not see, until they wake up by themselves. LATE is about all other deaths.
inline kernel_wakes_joiners() {
#if LATE > 0
    atomic {
        woken = 0;
        do
        WAKE_SLEEPER(0)
#if CONSUMERS > 1
        WAKE_SLEEPER(1)
#endif
#if CONSUMERS > 2
        WAKE_SLEEPER(2)
#endif
#if CONSUMERS > 3
        WAKE_SLEEPER(3)
#endif
        :: else -> break
        od
    }
#else
    kernel_wakes()
#endif
}

// The word gets a value that only this process knows.
inline change_epoch() { holds_value = 1 << self }

// Wakes `wanted` of those that sleep. `goes_on` and `seen_watching` are what the first look at the word has found.
inline wake_sleepers() {
    do
    :: goes_on ->
#ifdef MUTANT_WAKES_BEFORE_IT_CHANGES
        kernel_wakes();
#endif
        atomic {  // a compare-and-swap, again until it succeeds: decides on the value that it replaces
            MAY_DIE;
            goes_on = asleep;
            if
            :: asleep ->
#ifdef MUTANT_DECIDES_ON_AN_OLD_VALUE
                if :: seen_watching -> wanted = everybody :: else -> skip fi;
#else
                if :: watching -> wanted = everybody :: else -> skip fi;
#endif
#ifdef MUTANT_CLEARS_FIRST
                if :: wanted == everybody -> asleep = false; watching = false :: else -> skip fi;
#endif
                change_epoch()
            :: else -> skip
            fi
        };
        if
        :: !goes_on -> break
        :: else -> skip
        fi;
#ifndef MUTANT_WAKES_BEFORE_IT_CHANGES
        kernel_wakes();
#endif
        if
        :: woken < wanted ->  // nobody slept any more
            atomic {
                MAY_DIE;
                if
#ifdef MUTANT_CLEARS_BLINDLY
                :: asleep ->
#else
                :: asleep && (holds_value & (1 << self)) ->
#endif
                    asleep = false; watching = false; change_epoch(); wanted = everybody
                :: else -> wanted = 0
                fi
            };
#ifndef MUTANT_FORGETS_THOSE_THAT_JOIN
            if
            :: wanted == everybody -> kernel_wakes_joiners()
            :: else -> skip
            fi;
#endif
            break
#ifdef MUTANT_LOOKS_FOR_WATCHERS_ONCE
        :: else -> break
#else
        :: else ->  // perhaps it was one that had come since to watch, and will leave it
            atomic {
                MAY_DIE;
                if
                :: watching -> wanted = everybody
                :: else -> break
                fi
            }
#endif
        fi
    :: else -> break
    od;
    atomic {
        holds_value = holds_value & ~(1 << self);
        goes_on = false;
        woken = 0;
        wanted = 0;
        seen_watching = false
    }
}
inline wake(count) {
    atomic { MAY_DIE; goes_on = asleep; seen_watching = watching; wanted = count };
    wake_sleepers()
}

proctype producer(byte self; byte count; bool comes_late) {
    byte ticket;
    byte count_published = 0;
    byte wanted;
    byte woken;
    bool goes_on;
    bool seen_watching;
    if
    :: comes_late -> late
    :: else -> skip
    fi;
#ifdef MUTANT_LOOKS_BEFORE_IT_CLAIMS
    atomic { goes_on = asleep; seen_watching = watching };
#endif
    atomic {  // the claim
        ticket = tail;
        tail = tail + count;
        slot[ticket] = claimed;
        if :: count == 2 -> slot[ticket + 1] = claimed :: else -> skip fi
    };
#ifdef STORE_BUFFER
    // The last look may come before the publication, which is a store of its own.
    if
    :: count == 1 ->
       atomic { MAY_DIE; goes_on = asleep; seen_watching = watching; wanted = 1;
                if :: !goes_on -> excused = true :: else -> skip fi };
       atomic { MAY_DIE; slot[ticket] = published; count_published = 1 };
       goto look_is_done
    :: true
    fi;
#endif
    do
    :: count_published < count ->
        atomic {
            MAY_DIE;
            if
            :: slot[ticket + count_published] = published
#ifdef TOMBSTONES
            :: slot[ticket + count_published] = tombstone  // the caller's code has thrown
#endif
            fi;
            count_published++
        }
    :: else -> break
    od;
#if defined(MUTANT_LOOKS_BEFORE_IT_CLAIMS)
    wanted = count;
    wake_sleepers();
#elif defined(MUTANT_BATCH_WAKES_ONE)
    wake(1);
#else
    wake(count);
#endif
    goto done;
#ifdef STORE_BUFFER
look_is_done:
    wake_sleepers();
    goto done;
#endif
died:
#if DEATHS > 0
    atomic {
        if
        :: true  // stopped: what it has claimed stays claimed
        :: do
           :: count_published < count -> slot[ticket + count_published] = abandoned; count_published++
           :: else -> break
           od
        fi
    };
#endif
done:
    skip
}

// Takes what it waits for. `found`: it had what it wanted.
inline look() {
    atomic {
        MAY_DIE;
        found = false;
        if
        :: is_taker(self) ->
            do
            :: slot[head] == tombstone -> head++  // frees it and goes on
            :: else -> break
            od;
            if
            :: slot[head] == published -> head++; found = true
            :: else -> skip
            fi
        :: is_watcher(self) -> found = ready(head)
        :: is_pair(self) && ready(head) && ready(head + 1) -> head = head + 2; found = true
        :: else -> skip
        fi
    }
}

proctype consumer(byte self) {
    bool found;
    bool announced;
    bool gives_up;
    byte wanted;
    byte woken;
    bool goes_on;
    bool seen_watching;
    byte i;
again:
#if DEATHS > 0
    if
    :: rings[self] ->
        atomic {
            MAY_DIE;
            rings[self] = false;
            i = 0;
            do
            :: i < MESSAGES ->
                if
                :: slot[i] == abandoned -> slot[i] = tombstone; goes_on = true
                :: else -> skip
                fi;
                i++
            :: else -> break
            od;
            i = 0
        };
        if
        :: goes_on -> goes_on = false; wake(everybody)
        :: else -> skip
        fi
    :: else -> skip
    fi;
#endif
    look();
    if
    :: found -> goto leave
    :: else -> skip
    fi;
#ifdef MUTANT_LOOKS_BEFORE_IT_ANNOUNCES
    look();
#endif
    atomic {  // the announcement
        MAY_DIE;
        if
        :: !asleep || (!is_taker(self) && !watching) -> change_epoch()
        :: else -> holds_value = holds_value | (1 << self)
        fi;
        asleep = true;
        announced = true;
#ifndef MUTANT_WATCHES_WITHOUT_ITS_MARK
        if :: !is_taker(self) -> watching = true :: else -> skip fi;
#endif
    };
#ifndef MUTANT_LOOKS_BEFORE_IT_ANNOUNCES
    look();
#endif
    if
    :: found -> goto leave
    :: else -> skip
    fi;
    atomic {  // FUTEX_WAIT
        MAY_DIE;
        if
        :: holds_value & (1 << self) ->
            sleeps[self] = true;
            if
            :: gives_up = false
            :: gives_up = true
            fi
        :: else -> skip
        fi;
        holds_value = holds_value & ~(1 << self)
    };
end:
    if
    :: !sleeps[self] -> goto again
    :: !sleeps[self] && gives_up -> goto leave  // woken as its time is over
    :: atomic { sleeps[self] && gives_up -> sleeps[self] = false; goto leave }  // its time is over, or it stops
#if DEATHS > 0
    :: atomic { sleeps[self] && deaths < DEATHS ->
                deaths++; excused = true; rounds = 0; sleeps[self] = false; goto died }
#endif
    fi;
leave:
    gives_up = false;
#ifdef MUTANT_USES_IT_FIRST
    if
    :: found -> goto died  // the caller's code takes for ever
    :: true
    fi;
#endif
    if
    :: !announced -> skip
#ifdef MUTANT_LEAVES_WITH_A_WAKE
    :: announced && !found -> skip
#endif
#ifdef MUTANT_TAKES_WITHOUT_PASSING_ON
    :: announced && found -> skip
#endif
    :: else ->
        atomic {
            MAY_DIE;
            announced = false;
#ifdef MUTANT_OVERLOOKS_TOMBSTONES
            goes_on = slot[head] == published
#else
            goes_on = ready(head)
#endif
        };
        if
        :: goes_on -> goes_on = false; wake(1)
        :: else -> skip
        fi
    fi;
    if
    :: found && is_taker(self) -> found = false; announced = false; goto again  // it waits for another one
    :: true
    fi;
died:
    skip
}

#define EACH_SLEEPER(action) \
    if :: sleeps[i] -> action :: else -> skip fi

init {
    byte i;
    bool late_for_one;
    bool anybody;
    atomic {
        i = 0;
        do
        :: i < CONSUMERS -> run consumer(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < PRODUCERS -> run producer(CONSUMERS + i, (i < BATCHES -> 2 : 1), i >= PRODUCERS - LATE); i++
        :: else -> break
        od;
        i = 0
    };
    do
    :: timeout ->
        atomic {
            late_for_one = false;
            anybody = false;
            i = 0;
            do
            :: i < CONSUMERS ->
                late_for_one = late_for_one || kept_waiting(i);
                anybody = anybody || sleeps[i];
                i++
            :: else -> break
            od;
            i = 0;
            do
            :: i < MESSAGES -> late_for_one = late_for_one || (anybody && slot[i] == abandoned); i++
            :: else -> break
            od;
            i = 0;
            if
            :: late_for_one ->
                assert(excused);    // without a death, no interval is needed
                assert(rounds < 2); // and that one is enough
                if
                :: rounds == 0 ->   // the keeper's, whoever that is
                    if
                    :: sleeps[0] -> i = 0
#if CONSUMERS > 1
                    :: sleeps[1] -> i = 1
#endif
#if CONSUMERS > 2
                    :: sleeps[2] -> i = 2
#endif
#if CONSUMERS > 3
                    :: sleeps[3] -> i = 3
#endif
                    fi;
                    sleeps[i] = false; rings[i] = true
                :: else ->
                    do
                    :: i < CONSUMERS -> EACH_SLEEPER(sleeps[i] = false; rings[i] = true); i++
                    :: else -> break
                    od
                fi;
                i = 0;
                rounds++
            :: else ->
                excused = false; rounds = 0;
                if
                :: LATE > 0 && !late -> late = true
                :: else -> break
                fi
            fi
        }
    od
}
