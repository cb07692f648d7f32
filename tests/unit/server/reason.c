/* SPDX-License-Identifier: MIT */
#include "server/reason.h"

#include "check.h"

static void check_said(const char *reason, const char *want)
{
    char said[ERR_TEXT_CAP];

    reason_for_clients(said, reason);
    CHECK_STR(said, want);
}

TEST(reason_names_the_file_and_not_where_it_is)
{
    check_said("/home/me/models/moshi/mimi.safetensors: tensor 'a.b' is not there",
               "mimi.safetensors: tensor 'a.b' is not there");
    check_said("/home/my own/models/a: no such model folder", "a: no such model folder");
    check_said("/home/me/models/a/: no such model folder", "a/: no such model folder");
    check_said("models/a/config.json: not a JSON object", "config.json: not a JSON object");
    check_said("...e/me/models/a.safetensors: tensor 'x' is", "a.safetensors: tensor 'x' is");
    check_said("no model '/home/my own/a': no such folder", "no model 'a': no such folder");
    check_said("cannot read /home/me/a.json, as told", "cannot read a.json, as told");
}

TEST(reason_without_a_path_stays)
{
    check_said("", "");
    check_said("/", "/");
    check_said("all 2 talks are taken", "all 2 talks are taken");
    check_said("a.json: 'x/y' is not known", "a.json: 'x/y' is not known");
    check_said("no model 'owner/name': not in the cache",
               "no model 'owner/name': not in the cache");
    check_said("no sound and/or words: 3 / 4", "no sound and/or words: 3 / 4");
}

TEST(reason_of_any_length_fits)
{
    char long_one[ERR_TEXT_CAP + 100];

    memset(long_one, '/', sizeof long_one);
    long_one[sizeof long_one - 1] = 0;
    char said[ERR_TEXT_CAP];
    reason_for_clients(said, long_one);
    CHECK(strlen(said) < sizeof said);
}
