/* psa-replay - a source that plays recordings, NDJSON, CSV and sound, psa-replay(1). */
#include "io/replay_main.h"

int main(int argc, char **argv)
{
    return psa_replay_main(argc, argv);
}
