// SPDX-License-Identifier: Apache-2.0
//
// The queue's protocol, for spin. See README.md for what is modelled, and check.sh for how it is run.
//
// Every step (STEP) is one access to shared memory. The participant that takes it may be killed before it.

#ifndef CAP
#define CAP 1
#endif
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef CONSUMERS
#define CONSUMERS 1
#endif
#ifndef RECOVERERS
#define RECOVERERS 1
#endif
#ifndef MESSAGES      // that each producer tries to push
#define MESSAGES 2
#endif
#ifndef CRASHES       // of all participants together
#define CRASHES 1
#endif
#ifndef THROWS        // of all callables together
#define THROWS 0
#endif
#ifndef RECOVERIES    // by each recoverer, besides the last one
#define RECOVERIES 1
#endif
#ifndef REBIRTHS      // of dead participants whose entry was removed: a new one takes the entry
#define REBIRTHS 0
#endif
#ifndef MAX_DEATHS    // a message is dropped after so many; 0: never
#define MAX_DEATHS 0
#endif
#ifndef MAX_REQUEUES  // that a stamp can count
#define MAX_REQUEUES 2
#endif

#define LAST (PRODUCERS + CONSUMERS + RECOVERERS)  // the participant that comes when all others are done
#define ENTRIES (LAST + 1)
#define NONE 255
#define NOBODY 255

// Stamps: a lap and a state. RETURNED is also what one death adds, less the requeues.
#define LAP 32
#define FREE 0
#define FULL 1
#define TOMBSTONE 2
#define RETURNED 4
#define DEATH 8
#define make_stamp(ticket, state) ((ticket) / CAP * LAP + (state))
#define lap_of(stamp) ((stamp) / LAP)
#define state_of(stamp) ((stamp) % LAP)
#define deaths_of(state) ((state) / DEATH)
#define requeues_of(state) ((state) % DEATH / 2)
#define is_orphan(state) ((state) >= RETURNED && (state) % 2 == 0)
#define is_retaken(state) ((state) >= RETURNED && (state) % 2 == 1)

// What an attempt came to.
#define OK 1
#define IS_FULL 2
#define IS_EMPTY 3
#define IN_PROGRESS 4
#define CONTENDED 5
#define THREW 6
#define IS_CLOSED 7

// Shared memory.
byte tail, head, irregular_count, irregular_cleared_at;
byte stamp[CAP], payload[CAP];
byte push_intent[ENTRIES] = NONE;
byte pop_intent[ENTRIES] = NONE;
#ifdef BATCHES        // of up to two
byte push_count[ENTRIES] = 1;
byte pop_count[ENTRIES] = 1;
#endif
bool occupied[ENTRIES] = true;
#ifdef CLOSING
bool closed;          // a bit of the tail's word: read, and lost against, together with it
#endif

// What the kernel knows.
bool alive[ENTRIES] = true;      // the entry's lock is held
byte recovery_lock = NOBODY;

// What only the model knows.
bool idle[ENTRIES];
byte crashes = CRASHES;
byte throws = THROWS;
byte rebirths = REBIRTHS;
#ifdef PREFILLED      // one message is there at the start
#define PUSHED (PRODUCERS * MESSAGES + 1)
#else
#define PUSHED (PRODUCERS * MESSAGES)
#endif
#define IDS (PUSHED + 2 * CAP + 2)
bool published[IDS], released[IDS], dropped[IDS];
byte died[IDS];                  // consumers, of this message

#define STEP(what) atomic { if :: true -> what :: crashes > 0 -> goto dead fi }

#define write_stamp(ticket, to) \
    assert((to) > stamp[(ticket) % CAP] || relaxed_growth); \
    stamp[(ticket) % CAP] = (to)

#ifdef MUTANT_ORPHAN_BACK_TO_FULL
#define relaxed_growth true
#define RETAKEN(s) ((s) - state_of(s) + FULL)
#else
#define relaxed_growth false
#define RETAKEN(s) ((s) + 1)
#endif

inline count_irregularity() { STEP(irregular_count++) }

// ---- push ----

#ifdef CLOSING
#define read_tail(t, c) t = tail; c = closed
#define tail_is(t, c) (tail == t && closed == c)
#else
#define read_tail(t, c) t = tail
#define tail_is(t, c) (tail == t)
#endif

// How many tickets to claim, from `t` on: a second one, too, if its slot is in that state and there is use for it. The
// count is stored before the claim.
#ifdef BATCHES
#define forget_batch() size = 1
#define store_count(counts) if :: size == 2 -> STEP(counts[self] = 2) :: else fi
#define count_is_one_again(counts) if :: size == 2 -> STEP(counts[self] = 1) :: else fi
#ifdef MUTANT_COUNT_AFTER_CLAIM
#define store_count_early(counts) skip
#define store_count_late(counts) store_count(counts)
#else
#define store_count_early(counts) store_count(counts)
#define store_count_late(counts) skip
#endif
#define choose_size(wanted, state, counts) \
    size = 1; \
    if \
    :: wanted && CAP > 1 -> \
        STEP(if :: stamp[(t + 1) % CAP] == make_stamp(t + 1, state) -> size = 2 :: else fi) \
    :: true \
    fi; \
    store_count_early(counts)
#else
#define size 1
#define forget_batch() skip
#define choose_size(wanted, state, counts) skip
#define store_count_late(counts) skip
#define count_is_one_again(counts) skip
#endif

inline publish_one(ticket, message) {
    STEP(assert(stamp[(ticket) % CAP] == make_stamp(ticket, FREE)); payload[(ticket) % CAP] = message);
    STEP(assert(stamp[(ticket) % CAP] == make_stamp(ticket, FREE) && payload[(ticket) % CAP] == message);
         write_stamp(ticket, make_stamp(ticket, FULL)); published[message] = true)
}

inline release_one(ticket) {
    STEP(assert(stamp[(ticket) % CAP] == make_stamp(ticket, FULL)); got = payload[(ticket) % CAP];
         assert(published[got] && !released[got] && !dropped[got]));
    STEP(assert(stamp[(ticket) % CAP] == make_stamp(ticket, FULL) && payload[(ticket) % CAP] == got);
         assert(!released[got] && !dropped[got]);
         write_stamp(ticket, make_stamp((ticket) + CAP, FREE)); released[got] = true)
}

// Frees a tombstone whose ticket is `t`, if it still is at the head.
inline free_tombstone() {
    STEP(pop_intent[self] = t);
    STEP(if :: head == t -> head++; won = true :: else -> won = false fi);
    if
    :: won ->
        STEP(assert(stamp[t % CAP] == make_stamp(t, TOMBSTONE)); write_stamp(t, make_stamp(t + CAP, FREE)))
#ifndef MUTANT_LOSER_KEEPS_INTENT
    :: else -> STEP(pop_intent[self] = NONE)
#else
    :: else
#endif
    fi
}

// `two`: there is a second message to push, the next one.
inline push(message, two) {
    STEP(read_tail(t, shut));
    result = CONTENDED;
    if
#ifdef CLOSING
    :: shut -> result = IS_CLOSED
    :: else ->
#else
    :: true ->
#endif
        STEP(s = stamp[t % CAP]);
        if
        :: s == make_stamp(t, FREE) ->
            choose_size(two, FREE, push_count);
#ifndef MUTANT_INTENT_AFTER_CLAIM
            STEP(push_intent[self] = t);
#endif
            STEP(if :: tail_is(t, shut) -> tail = tail + size; won = true :: else -> won = false fi);
            if
#ifdef BATCHES
            :: won && size == 2 ->
                store_count_late(push_count);
                publish_one(t, message);
                publish_one(t + 1, message + 1);
                count_is_one_again(push_count);
                result = OK
#endif
            :: won && size == 1 ->
#ifdef MUTANT_INTENT_AFTER_CLAIM
                STEP(push_intent[self] = t);
#endif
                STEP(assert(stamp[t % CAP] == s); payload[t % CAP] = message;
                     if :: throws > 0 -> throws--; result = THREW :: true -> result = OK fi);
                if
                :: result == OK ->
                    STEP(assert(stamp[t % CAP] == s && payload[t % CAP] == message);
                         write_stamp(t, make_stamp(t, FULL)); published[message] = true)
                :: else ->
                    STEP(assert(stamp[t % CAP] == s); write_stamp(t, make_stamp(t, TOMBSTONE)));
                    count_irregularity()
                fi
#ifndef MUTANT_LOSER_KEEPS_INTENT
            :: else -> STEP(push_intent[self] = NONE); count_is_one_again(push_count)
#else
            :: else
#endif
            fi
        :: s > make_stamp(t, FREE)  // the tail has moved on
        :: s < make_stamp(t, FREE) ->
            assert(t >= CAP);
            t = t - CAP;
            if
            :: is_orphan(state_of(s)) -> result = IS_FULL
            :: else ->
                STEP(won = (head == t));
                if
                :: won && s == make_stamp(t, FULL) -> result = IS_FULL
                :: won && s == make_stamp(t, TOMBSTONE) -> free_tombstone()
                :: else -> result = IN_PROGRESS
                fi
            fi
        fi
    fi;
    atomic { t = 0; s = 0; won = false; shut = false }
}

// ---- pop ----

// Uses the message at the ticket `t`, whose stamp the claim has made `s`, and releases or requeues it.
inline use() {
    STEP(assert(stamp[t % CAP] == s); got = payload[t % CAP]; assert(published[got] && !released[got] && !dropped[got]);
         if :: throws > 0 -> throws--; result = THREW :: true -> result = OK fi);
    if
    :: result == OK ->
        STEP(assert(stamp[t % CAP] == s && payload[t % CAP] == got && !released[got] && !dropped[got]);
             write_stamp(t, make_stamp(t + CAP, FREE)); released[got] = true)
    :: else ->
        if
        :: state_of(s) == FULL ->
            STEP(assert(stamp[t % CAP] == s); write_stamp(t, make_stamp(t, RETURNED)))
        :: state_of(s) != FULL && requeues_of(state_of(s)) < MAX_REQUEUES ->
            STEP(assert(stamp[t % CAP] == s); write_stamp(t, s + 1))
        :: else ->  // no more can be counted: back to two
#ifndef MUTANT_SATURATED_WITHOUT_LOCK
            atomic { if :: recovery_lock == NOBODY -> recovery_lock = self :: crashes > 0 -> goto dead fi };
#endif
            STEP(assert(stamp[t % CAP] == s);
                 stamp[t % CAP] = make_stamp(t, deaths_of(state_of(s)) * DEATH + RETURNED));
#ifndef MUTANT_SATURATED_WITHOUT_LOCK
            STEP(recovery_lock = NOBODY)
#endif
        fi;
        count_irregularity();
#ifndef MUTANT_REQUEUE_KEEPS_INTENT
        STEP(pop_intent[self] = NONE)
#endif
    fi
}

// Looks at all slots for an orphan.
inline scan() {
    STEP(counted = irregular_count);
    in_order = true;
    won = false;
    k = 0;
    do
    :: k < CAP && !won ->
        STEP(s = stamp[k]);
        if
        :: is_orphan(state_of(s)) ->
            in_order = false;
            t = lap_of(s) * CAP + k;
            STEP(pop_intent[self] = t);
            STEP(if :: stamp[k] == s -> stamp[k] = RETAKEN(s); s = stamp[k]; won = true :: else fi);
            if
            :: won -> use()
#ifndef MUTANT_LOSER_KEEPS_INTENT
            :: else -> STEP(pop_intent[self] = NONE)
#else
            :: else
#endif
            fi
        :: state_of(s) == TOMBSTONE -> in_order = false
        :: else
        fi;
        k++
    :: else -> break
    od;
    if :: in_order -> STEP(irregular_cleared_at = counted) :: else fi
}

inline pop() {
    STEP(t = head);
    STEP(s = stamp[t % CAP]);
    result = CONTENDED;
    if
    :: s == make_stamp(t, FULL) || s == make_stamp(t, TOMBSTONE) ->
        choose_size(state_of(s) == FULL, FULL, pop_count);
#ifndef MUTANT_INTENT_AFTER_CLAIM
        STEP(pop_intent[self] = t);
#endif
        STEP(if :: head == t -> head = head + size; won = true :: else -> won = false fi);
        if
#ifdef BATCHES
        :: won && size == 2 ->
            store_count_late(pop_count);
            release_one(t);
            release_one(t + 1);
            count_is_one_again(pop_count)
#endif
        :: won && size == 1 ->
#ifdef MUTANT_INTENT_AFTER_CLAIM
            STEP(pop_intent[self] = t);
#endif
            if
            :: state_of(s) == FULL -> use()
            :: else ->
                STEP(assert(stamp[t % CAP] == s); write_stamp(t, make_stamp(t + CAP, FREE)))
            fi
#ifndef MUTANT_LOSER_KEEPS_INTENT
        :: else -> STEP(pop_intent[self] = NONE); count_is_one_again(pop_count)
#else
        :: else
#endif
        fi
    :: s > make_stamp(t, TOMBSTONE)  // the head has moved on
    :: s <= make_stamp(t, FREE) ->
        STEP(read_tail(k, shut));
        if
        :: k == t -> result = IS_EMPTY
        :: k != t && s == make_stamp(t, FREE) -> result = IN_PROGRESS
        :: else
        fi;
        if
        :: result != CONTENDED ->
            STEP(in_order = (irregular_count == irregular_cleared_at));
            if
            :: !in_order -> scan()
            :: else
            fi;
#ifdef CLOSING
            // Closed for good only if no consumer has a message that may come back.
            if
            :: result == IS_EMPTY && shut ->
                result = IS_CLOSED;
                k = 0;
                do
                :: k < CAP ->
                    STEP(s = stamp[k]);
                    if :: state_of(s) == FULL || state_of(s) >= RETURNED -> result = IS_EMPTY :: else fi;
                    k++
                :: else -> break
                od
            :: else
            fi
#endif
        :: else
        fi
    fi;
    atomic { t = 0; s = 0; won = false; k = 0; got = 0; in_order = false; counted = 0; shut = false }
}

// ---- recovery ----

// Whether the intents of an entry cover a ticket.
#ifdef BATCHES
#define covers(from, count, ticket) ((from) != NONE && (from) <= (ticket) && (ticket) - (from) < (count))
#define covered(intents, counts, entry, ticket) covers(intents[entry], counts[entry], ticket)
#ifdef MUTANT_COUNT_IGNORED
#define read_intent(intents, counts) STEP(first = (occupied[k] -> intents[k] : NONE)); many = 1
#else
#define read_intent(intents, counts) \
    STEP(first = (occupied[k] -> intents[k] : NONE)); \
    if :: first != NONE -> STEP(many = counts[k]) :: else fi
#endif
#else
#define covers(from, count, ticket) ((from) == (ticket))
#define covered(intents, counts, entry, ticket) (intents[entry] == (ticket))
#define read_intent(intents, counts) STEP(first = (occupied[k] -> intents[k] : NONE))
#endif

#ifdef MUTANT_ALIVE_IGNORED
#define is_owned(owned, ticket) false
#else
#define is_owned(owned, ticket) (owned[(ticket) % CAP] == (ticket))
#endif

#ifdef MUTANT_STAMP_READ_TWICE
#define read_again() STEP(s = stamp[t % CAP])
#else
#define read_again() skip
#endif

// The tickets of the last lap before the tail that was read.
#define oldest (at_tail >= CAP -> at_tail - CAP : 0)
#define is_push(ticket) (seen[(ticket) % CAP] == make_stamp(ticket, FREE))
#define is_pop(ticket) (seen[(ticket) % CAP] != NONE && !is_push(ticket))

inline find_dead() {
    i = 0;
    do
    :: i < ENTRIES ->
        if
        :: i != self ->
            STEP(dead_one[i] = (occupied[i] && !alive[i]))
#ifdef MUTANT_REMOVED_EARLY
            ;
            if :: dead_one[i] -> STEP(occupied[i] = false) :: else fi
#endif
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline read_counters() {
    STEP(at_tail = tail);
    STEP(at_head = head)
}

// Reads the stamps of the tickets that the dead have announced, and of those at which others would be stuck. The
// intents of the dead do not change.
inline read_stamps() {
    t = oldest;
    do
    :: t < at_tail ->
        atomic {
            flag = (t + CAP == at_tail || t == at_head);
            do
            :: i < ENTRIES ->
                flag = flag || (dead_one[i] && (covered(push_intent, push_count, i, t) ||
                                                covered(pop_intent, pop_count, i, t)));
                i++
            :: else -> break
            od;
            i = 0
        };
        if
        :: flag ->
            STEP(s = stamp[t % CAP];
                 if
                 :: lap_of(s) == t / CAP && (state_of(s) == TOMBSTONE || is_orphan(state_of(s))) -> irregular = true
                 :: else
                 fi;
                 if
                 :: s == make_stamp(t, FREE) || (lap_of(s) == t / CAP && t < at_head && !is_orphan(state_of(s))) ->
                    seen[t % CAP] = s;
                    any = true
                 :: else
                 fi;
                 s = 0)
        :: else
        fi;
        t++
    :: else -> break
    od;
#ifndef MUTANT_NOT_COUNTED_AGAIN
    if :: irregular -> count_irregularity() :: else fi;
#endif
    atomic { irregular = false; flag = false; t = 0 }
}

// Looks at the intent of the entry `k`, and keeps what its owner may own, if it is alive.
#ifdef MUTANT_INTENTS_FIRST
#define look_at_intent(intents, counts, is_mine, owned) \
    read_intent(intents, counts); \
    if :: first != NONE -> STEP(if :: alive[k] -> owned[first % CAP] = first :: else fi) :: else fi
#else
#define look_at_intent(intents, counts, is_mine, owned) \
    read_intent(intents, counts); \
    atomic { \
        t = oldest; \
        do \
        :: t < at_tail -> flag = flag || (covers(first, many, t) && is_mine(t)); t++ \
        :: else -> break \
        od; \
        t = 0 \
    }; \
    if \
    :: flag -> \
        STEP(flag = alive[k]; \
             t = oldest; \
             do \
             :: t < at_tail -> \
                 if :: flag && covers(first, many, t) && is_mine(t) -> owned[t % CAP] = t :: else fi; \
                 t++ \
             :: else -> break \
             od; \
             t = 0; \
             flag = false) \
    :: else \
    fi
#endif

inline look_at_intents() {
    k = 0;
    do
    :: k < ENTRIES ->
        if
        :: k != self && !dead_one[k] ->
            look_at_intent(push_intent, push_count, is_push, owned_push);
            look_at_intent(pop_intent, pop_count, is_pop, owned_pop)
        :: else
        fi;
        k++
    :: else -> break
    od;
    atomic { k = 0; first = 0; many = 1 }
}

inline finish_push() {
    read_again();
    STEP(won = (stamp[t % CAP] == s); if :: won -> write_stamp(t, make_stamp(t, TOMBSTONE)) :: else fi);
    if :: won -> count_irregularity() :: else fi
}

inline finish_pop() {
    read_again();
    if
    :: state_of(s) == TOMBSTONE ->
        STEP(if :: stamp[t % CAP] == s -> write_stamp(t, make_stamp(t + CAP, FREE)) :: else fi)
    :: state_of(s) != TOMBSTONE && MAX_DEATHS != 0 && deaths_of(state_of(s)) + 1 >= MAX_DEATHS ->
        STEP(k = payload[t % CAP]);
        STEP(if
             :: stamp[t % CAP] == s ->
                assert(published[k] && !released[k] && !dropped[k] && died[k] >= MAX_DEATHS);
                write_stamp(t, make_stamp(t + CAP, FREE));
                dropped[k] = true
             :: else
             fi);
        k = 0
    :: else ->
        STEP(won = (stamp[t % CAP] == s);
             if
             :: won -> write_stamp(t, make_stamp(t, (deaths_of(state_of(s)) + 1) * DEATH))
             :: else
             fi);
        if :: won -> count_irregularity() :: else fi
    fi
}

inline finish_claims() {
    t = oldest;
    do
    :: t < at_tail ->
        s = seen[t % CAP];
        if
        :: is_push(t) && !is_owned(owned_push, t) -> finish_push()
        :: is_pop(t) && !is_owned(owned_pop, t) -> finish_pop()
        :: else
        fi;
        t++
    :: else -> break
    od;
    atomic { t = 0; s = 0; won = false }
}

inline remove_dead() {
    i = 0;
    do
    :: i < ENTRIES ->
        if
        :: dead_one[i] ->
            atomic {
                flag = true;
                t = oldest;
                do
                :: t < at_tail ->
                    if
                    :: covered(push_intent, push_count, i, t) && is_push(t) && owned_push[t % CAP] == t -> flag = false
                    :: covered(pop_intent, pop_count, i, t) && is_pop(t) && owned_pop[t % CAP] == t -> flag = false
                    :: else
                    fi;
                    t++
                :: else -> break
                od;
                t = 0
            };
#ifndef MUTANT_REMOVED_EARLY
            if :: flag -> STEP(occupied[i] = false) :: else fi
#endif
        :: else
        fi;
        i++
    :: else -> break
    od;
    flag = false
}

#define recovery_locals \
    byte at_tail, at_head; \
    byte seen[CAP] = NONE; \
    byte owned_push[CAP] = NONE; \
    byte owned_pop[CAP] = NONE; \
    bool dead_one[ENTRIES], any, flag, irregular
inline forget_recovery() {
    at_tail = 0;
    at_head = 0;
    any = false;
    flag = false;
    irregular = false;
    t = 0;
    do
    :: t < CAP -> seen[t] = NONE; owned_push[t] = NONE; owned_pop[t] = NONE; t++
    :: else -> break
    od;
    t = 0;
    i = 0;
    do
    :: i < ENTRIES -> dead_one[i] = false; i++
    :: else -> break
    od;
    i = 0
}

inline recover() {
#ifdef MUTANT_ORPHAN_BACK_TO_FULL
    STEP(won = true);
#else
    STEP(if :: recovery_lock == NOBODY -> recovery_lock = self; won = true :: else -> won = false fi);
#endif
    if
    :: won ->
        won = false;
#ifdef MUTANT_COUNTERS_BEFORE_THE_DEAD
        read_counters();
        find_dead();
#else
        find_dead();
#ifdef MUTANT_INTENTS_FIRST
        look_at_intents();
#endif
        read_counters();
#endif
        read_stamps();
        if
        :: any ->
            any = false;
#ifndef MUTANT_INTENTS_FIRST
            look_at_intents();
#endif
            finish_claims()
        :: else
        fi;
        remove_dead();
#ifndef MUTANT_ORPHAN_BACK_TO_FULL
        STEP(recovery_lock = NOBODY);
#endif
        atomic { forget_recovery() }
    :: else
    fi
}

// ---- the participants ----

#ifdef BATCHES
#define batch_locals byte size = 1
#define reset_counts() push_count[self] = 1; pop_count[self] = 1
#else
#define batch_locals skip
#define reset_counts() skip
#endif

#define die() \
    crashes--; \
    alive[self] = false; \
    if :: recovery_lock == self -> recovery_lock = NOBODY :: else fi

proctype producer(byte self) {
    byte t, s, result, n;
    bool won, shut;
    batch_locals;
again:
    do
    :: n < MESSAGES ->
        push(self * MESSAGES + n, n + 1 < MESSAGES);
        if
        :: result == OK || result == THREW -> n = n + size
        :: result == IS_CLOSED -> break
        :: else
        fi;
        atomic { result = 0; forget_batch() }
    :: n == MESSAGES -> break
    :: atomic { true -> break }  // enough
    od;
    atomic { idle[self] = true; result = 0; n = 0; goto end }
dead:
    atomic { die(); t = 0; s = 0; won = false; shut = false; result = 0;
             if :: n + size <= MESSAGES -> n = n + size :: else -> n = MESSAGES fi;
             forget_batch();
             if :: rebirths == 0 -> n = 0 :: else fi };
end_dead:
    atomic { rebirths > 0 && !alive[self] && !occupied[self] ->
             rebirths--; push_intent[self] = NONE; pop_intent[self] = NONE; reset_counts();
             alive[self] = true; occupied[self] = true; goto again };
end:
    skip
}

proctype consumer(byte self) {
    byte t, s, result, k, got, counted;
    bool won, shut, in_order;
    batch_locals;
again:
    do
    :: true ->
        pop();
        atomic {
#ifdef CLOSING
            if
            :: result == IS_CLOSED ->
                k = 0;
                do
                :: k < PUSHED -> assert(!published[k] || released[k] || dropped[k]); k++
                :: else -> break
                od;
                k = 0
            :: else
            fi;
#endif
            result = 0;
            forget_batch()
        }
    :: atomic { true -> break }
    od;
    atomic { idle[self] = true; goto end }
dead:
    atomic {
        // Did it die with a message in its hands?
        if
        :: won && pop_intent[self] != NONE && pop_intent[self] == t && stamp[t % CAP] == s &&
           (state_of(s) == FULL || is_retaken(state_of(s))) -> died[payload[t % CAP]]++
        :: else
        fi;
        die(); t = 0; s = 0; won = false; shut = false; result = 0; k = 0; got = 0; in_order = false; counted = 0;
        forget_batch() };
end_dead:
    atomic { rebirths > 0 && !alive[self] && !occupied[self] ->
             rebirths--; push_intent[self] = NONE; pop_intent[self] = NONE; reset_counts();
             alive[self] = true; occupied[self] = true; goto again };
end:
    skip
}

proctype recoverer(byte self) {
    byte t, s, i, k, n, first;
    byte many = 1;
    bool won;
    recovery_locals;
    do
    :: n < RECOVERIES -> recover(); n++
    :: atomic { true -> break }
    od;
    atomic { idle[self] = true; n = 0; goto end };
dead:
    atomic { die(); s = 0; k = 0; n = 0; first = 0; many = 1; won = false; forget_recovery() };
end:
    skip
}

#ifdef CLOSING
proctype closer() { closed = true }
#endif

// Comes when all others are dead or idle: nothing may be stuck, and nothing lost.
inline drain() {
    do
    :: pop(); assert(result != IN_PROGRESS); if :: result == IS_EMPTY || result == IS_CLOSED -> break :: else fi
    od;
    i = 0;
    do
    :: i < IDS -> assert(!published[i] || (released[i] != dropped[i])); i++
    :: else -> break
    od;
    i = 0
}

inline fill() {
    do
    :: push(n, false);
       assert(result != IN_PROGRESS);
       if
       :: result == OK -> n++; room++
       :: result == IS_FULL || result == IS_CLOSED -> break
       :: else
       fi
    od
}

active proctype last() {
    byte self = LAST;
    byte t, s, i, k, n, counted, got, result, room, first;
    byte many = 1;
    bool won, shut, in_order;
    recovery_locals;
    batch_locals;
    atomic {
#ifdef PREFILLED
        stamp[0] = FULL;
        payload[0] = PUSHED - 1;
        published[PUSHED - 1] = true;
        tail = 1;
#endif
        do
        :: i < PRODUCERS -> run producer(i); i++
        :: i >= PRODUCERS && i < PRODUCERS + CONSUMERS -> run consumer(i); i++
        :: i >= PRODUCERS + CONSUMERS && i < LAST -> run recoverer(i); i++
        :: else -> break
        od;
#ifdef CLOSING
        run closer();
#endif
        i = 0
    };
end_waiting:
    atomic {
        ((idle[0] || !alive[0]) && (idle[1] || !alive[1])
#if LAST > 2
            && (idle[2] || !alive[2])
#endif
#if LAST > 3
            && (idle[3] || !alive[3])
#endif
#if LAST > 4
#error "say so here, too"
#endif
#ifdef CLOSING
            && closed
#endif
        ) -> crashes = 0; throws = 0; rebirths = 0;
        n = PUSHED;
        recover();
        if
        :: fill()
        :: true
        fi;
        drain();
        room = 0;
        fill();
#ifdef CLOSING
        assert(result == IS_CLOSED);
#else
        assert(result == IS_FULL && room == CAP);
#endif
        drain()
    };
    goto end;
dead:
    assert(false);
end:
    skip
}
