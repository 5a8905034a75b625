"""A token as the broker's validator for tests takes it: a JWT without a signature. As a program: ms_token.py USER SECONDS."""

import base64
import json
import sys
import time


def token(user, life_s, **claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    now = time.time()
    return f'{part({"alg": "none"})}.{part({"sub": user, "iat": now, "exp": now + life_s, **claims})}.'


if __name__ == "__main__":
    print(token(sys.argv[1], float(sys.argv[2])))
