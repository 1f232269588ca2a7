// SPDX-License-Identifier: Apache-2.0

// Who looks for the dead, and when, by recovery_schedule.hpp: one of those who sleep on a word, the keeper, has
// promised to look at `look_due`. The others rely on that. Some of them, the deputies, wake up by themselves at multiples
// of a longer interval, and the rest at multiples of a much longer one. A keeper that leaves marks its promise as vacant,
// so the next one who is about to sleep keeps it. Participants come, leave and die at any time. Time passes only while
// all sleep.
//
// While somebody waits, there must be a look within `ALIGNED + WANTED`, whoever dies, as long as there are deputies
// enough for all who wait; otherwise within `LONG + WANTED`. And unless one has died, nobody who goes to sleep may rely
// on a keeper that has left. All want a look equally soon here.

#ifndef PARTICIPANTS
#define PARTICIPANTS 2
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#define WANTED 2     // a participant wants a look within this time
#define ALIGNED 3    // deputies wake up at multiples of this
#define LONG 6       // and the rest at multiples of this
#ifndef DEPUTIES
#define DEPUTIES 2   // at most
#endif
#if DEPUTIES + 1 < PARTICIPANTS
#define LONGEST (LONG + WANTED)
#else
#define LONGEST (ALIGNED + WANTED)
#endif
#ifndef END
#define END 12       // of the time that is looked at
#endif
#define nobody 9

byte now = 1;
byte look_due = 0;
bool vacant = true;
byte deputies = 0;            // how many have come since the promise was made
byte keeper = nobody;         // whose promise it is; nobody may look at this, but the assertions
byte waits = 0;               // how many wait
byte last_look = 0;           // or when nobody waited, if that was later
byte wakes_at[PARTICIPANTS];
byte leaves_at[PARTICIPANTS];
byte deaths = 0;

proctype participant(byte self) {
    byte due;
    bool was_vacant;
    byte promised = 0;   // what this one keeps; 0: nothing
    byte deputy = 0;     // the promise in whose stead it would look; 0: none
    bool dies;
come:
    if
    :: true -> skip
    :: true -> goto gone
    :: now < END -> wakes_at[self] = now + 1; goto end_away
    fi;
    goto arrive;
end_away:
    now >= wakes_at[self] -> goto come;
arrive:
    atomic { if :: waits == 0 -> last_look = now :: else -> skip fi; waits++ };
again:
    atomic {
        due = look_due; was_vacant = vacant;
        if
        :: due > now && due <= now + WANTED ->
            if
            :: promised == due && !was_vacant -> wakes_at[self] = due; goto sleep
            :: was_vacant -> goto keep
            :: else ->
                assert(deaths > 0 || keeper != nobody);
                promised = 0;
                if
                :: deputy != due && deputies < DEPUTIES -> deputies++; deputy = due
                :: else -> skip
                fi;
                if
                :: deputy == due -> wakes_at[self] = (now / ALIGNED + 1) * ALIGNED
                :: else -> wakes_at[self] = (now / LONG + 1) * LONG
                fi;
                goto sleep
            fi
        :: else -> goto look
        fi
    };
keep:
    atomic {
        if
        :: look_due == due && vacant -> vacant = false; keeper = self; promised = due
        :: else -> skip
        fi;
        goto again
    };
look:
    atomic {
        if
        :: look_due == due && vacant == was_vacant ->
            look_due = now + WANTED; vacant = false; deputies = 0; keeper = self; promised = now + WANTED;
            last_look = now
        :: else -> skip
        fi;
        goto again
    };
sleep:
    atomic {
        if
        :: leaves_at[self] = wakes_at[self] + 1  // stays until then
        :: leaves_at[self] = now
        :: leaves_at[self] = now + 1
        fi;
        dies = false;
        if
        :: true
        :: deaths < DEATHS && leaves_at[self] <= wakes_at[self] -> dies = true; deaths++
        fi
    };
end_asleep:
    if
    :: now >= leaves_at[self] -> goto leave
    :: now >= wakes_at[self] && now < leaves_at[self] -> goto again
    fi;
leave:
    if
    :: dies -> waits--; goto gone
    :: else -> skip
    fi;
    atomic {
#ifndef MUTANT_LEAVES_NO_VACANCY
        if
        :: promised != 0 && look_due == promised && !vacant -> vacant = true
        :: else -> skip
        fi;
#endif
#ifndef MUTANT_DEPUTIES_STAY_COUNTED
        if
        :: deputy != 0 && look_due == deputy && deputies > 0 -> deputies--
        :: else -> skip
        fi;
#endif
        if :: keeper == self -> keeper = nobody :: else -> skip fi;
        waits--
    };
    promised = 0;
    deputy = 0;
    goto come;
gone:
    skip
}

init {
    byte i;
    atomic {
        do
        :: i < PARTICIPANTS -> run participant(i); i++
        :: else -> break
        od
    };
    do
    :: timeout ->
        atomic {
            if
            :: now == END -> break
            :: else -> skip
            fi;
            if
            :: waits == 0 -> last_look = now
            :: else -> skip
            fi;
            now++;
            assert(now - last_look <= LONGEST)
        }
    od
}
