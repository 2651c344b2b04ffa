/* A PKCS#11 module in front of a real one, that brings about what a test can't do from outside: somebody logs out, all
   sessions are closed, the token says that few tries are left. Everything else goes to the real module as it is.

   TROUBLE_MODULE  the real module
   TROUBLE_FOLDER  where a test puts files: `logout` and `close` are taken away at the next signature and done to the real
                   module before it; `flags` holds a number that is added to the token's flags; `locked` has every login
                   answered with CKR_PIN_LOCKED; every login adds a letter to `logins`. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long CK_RV;
typedef unsigned long CK_ULONG;

/* PKCS #11 2.40 section 3.6: the version, then the functions in the order of the specification. */
#define FUNCTIONS 68
enum { GET_FUNCTION_LIST = 3, GET_TOKEN_INFO = 6, CLOSE_ALL_SESSIONS = 14, GET_SESSION_INFO = 15, LOGIN = 18, LOGOUT = 19,
       SIGN_INIT = 42 };
#define TOKEN_FLAGS 96
#define CKR_PIN_LOCKED 0xa4UL

struct list {
  unsigned char version[2];
  void *functions[FUNCTIONS];
};

static struct list ours;
static struct list real;

static void path_of(char *path, size_t size, const char *name) {
  const char *folder = getenv("TROUBLE_FOLDER");
  snprintf(path, size, "%s/%s", folder ? folder : "/nowhere", name);
}

static int taken(const char *name) {
  char path[4096];
  path_of(path, sizeof path, name);
  return unlink(path) == 0;
}

static CK_RV sign_init(CK_ULONG session, void *mechanism, CK_ULONG key) {
  if (taken("logout")) {
    ((CK_RV(*)(CK_ULONG))real.functions[LOGOUT])(session);
  }
  if (taken("close")) {
    CK_ULONG info[4];
    ((CK_RV(*)(CK_ULONG, void *))real.functions[GET_SESSION_INFO])(session, info);
    ((CK_RV(*)(CK_ULONG))real.functions[CLOSE_ALL_SESSIONS])(info[0]);
  }
  return ((CK_RV(*)(CK_ULONG, void *, CK_ULONG))real.functions[SIGN_INIT])(session, mechanism, key);
}

static CK_RV get_token_info(CK_ULONG slot, unsigned char *info) {
  CK_RV outcome = ((CK_RV(*)(CK_ULONG, void *))real.functions[GET_TOKEN_INFO])(slot, info);
  char path[4096];
  path_of(path, sizeof path, "flags");
  FILE *file = fopen(path, "r");
  if (file) {
    CK_ULONG more = 0, flags;
    if (fscanf(file, "%lu", &more) == 1) {
      memcpy(&flags, info + TOKEN_FLAGS, sizeof flags);
      flags |= more;
      memcpy(info + TOKEN_FLAGS, &flags, sizeof flags);
    }
    fclose(file);
  }
  return outcome;
}

static CK_RV login(CK_ULONG session, CK_ULONG user, unsigned char *pin, CK_ULONG length) {
  char path[4096];
  path_of(path, sizeof path, "logins");
  FILE *file = fopen(path, "a");
  if (file) {
    fputc('l', file);
    fclose(file);
  }
  path_of(path, sizeof path, "locked");
  if (access(path, F_OK) == 0) {
    return CKR_PIN_LOCKED;
  }
  return ((CK_RV(*)(CK_ULONG, CK_ULONG, void *, CK_ULONG))real.functions[LOGIN])(session, user, pin, length);
}

CK_RV C_GetFunctionList(void **list) {
  const char *module = getenv("TROUBLE_MODULE");
  void *handle = module ? dlopen(module, RTLD_NOW | RTLD_LOCAL) : NULL;
  CK_RV (*get)(struct list **) = NULL;
  struct list *found = NULL;
  if (handle) {
    *(void **)&get = dlsym(handle, "C_GetFunctionList");
  }
  if (!get || get(&found) != 0) {
    return 6; /* CKR_FUNCTION_FAILED */
  }
  real = *found;
  ours = *found;
  ours.functions[GET_FUNCTION_LIST] = (void *)C_GetFunctionList;
  ours.functions[GET_TOKEN_INFO] = (void *)get_token_info;
  ours.functions[LOGIN] = (void *)login;
  ours.functions[SIGN_INIT] = (void *)sign_init;
  *list = &ours;
  return 0;
}
